/**
 * While somebody really uses the page, a track `__heartbeat` once a minute. Several tabs make the same one: its
 * messageId is that of the minute.
 */

import type { Analytics, Context, SegmentEvent } from '@segment/analytics-next'
import { reaches } from './integrations'
import { ownEvent } from './own'

const NAME = '__heartbeat'
const MINUTE = 60_000 // ms
const FRESH = 2 * MINUTE
const LONGEST_ID = 80 // characters, of the 100 that a messageId may have
const USES = ['keydown', 'mousemove', 'mousedown', 'scroll', 'wheel', 'touchstart']

/** module  the current one; text, or undefined */
export function heartbeats(analytics: Analytics, contextOf: typeof Context, module: () => string | undefined): void {
  let used = -Infinity
  const use = (event: Event) => {
    if (event.isTrusted) used = Date.now()
  }
  for (const name of USES) window.addEventListener(name, use, { capture: true, passive: true })

  setInterval(() => {
    const account = analytics.group().id()
    const now = Date.now()
    const inUse = document.visibilityState === 'visible' && now - used <= MINUTE && navigator.onLine !== false
    if (!inUse || !account || !analytics.user().id() || !reaches(analytics.integrations)) return
    const category = module()
    const ctx = ownEvent(analytics, contextOf, account, {
      type: 'track',
      event: NAME,
      properties: category === undefined ? {} : { category },
    })
    const who = String(ctx.event.anonymousId).slice(0, LONGEST_ID)
    ctx.event.messageId = `hb-${who}-${Math.floor(now / MINUTE)}`
    void analytics.queue.dispatchSingle(ctx)
  }, MINUTE)
}

export const isHeartbeat = ({ event, messageId }: SegmentEvent) => event === NAME && /^hb-/.test(messageId ?? '')

/** Where events go: the settings of `Segment.io`, the page's own mixed in. */
export interface SendSettings {
  apiKey?: string
  apiHost?: string
  protocol?: string
  deliveryStrategy?: {
    config?: { credentials?: RequestCredentials; headers?: Record<string, string> | (() => Record<string, string>) }
  }
}

/**
 * Past the SDK's own delivery, which would keep it and try again: now or never. The write key is in the body only, so
 * that the browser need not ask first whether it may send.
 */
export function sendHeartbeat(event: SegmentEvent, settings: SendSettings): void {
  if (Date.now() - new Date(event.timestamp ?? 0).getTime() > FRESH) return
  const { apiKey, apiHost = '', protocol = 'https', deliveryStrategy } = settings
  const { credentials, headers } = deliveryStrategy?.config ?? {}
  const origin = /^https?:/.test(apiHost) ? apiHost : `${protocol}://${apiHost}`
  fetch(`${origin}/t`, {
    method: 'POST',
    keepalive: true,
    credentials,
    headers: { 'Content-Type': 'text/plain', ...(typeof headers === 'function' ? headers() : headers) },
    body: JSON.stringify({ ...event, writeKey: apiKey, sentAt: new Date() }),
  }).catch(() => undefined)
}
