/**
 * Totango's own collector, driven call by call as Segment's integration does it (analytics.js-integrations, totango
 * 2.1.0), but for what docs/totango.md decides otherwise: the module of an activity.
 *
 * It is handed only what it can attribute: activities of the user and the account that it was told of. All else the
 * server delivers, or says why not.
 */

import type { SegmentEvent } from '@segment/analytics-next'
import { categoryOf } from '../plugin/category'
import type { DeviceSettings } from '../plugin/settings'
import { loadCollector } from './collector'
import type { Collector } from './collector'
import { moduleOf, pageActivities } from './activities'
import { described } from './traits'

export interface Totango {
  /** Whether the collector has it now. */
  take: (event: SegmentEvent, account: unknown) => boolean
  /** User and traits, as text, of the last identify that the collector was told; undefined if none. */
  readonly described: string | undefined
  reset: () => void
}

/** What is known when the collector is there. */
export interface Start {
  user: unknown
  account: unknown
  /** Of the last page call; asked each time. */
  module: () => string | undefined
}

export interface TotangoPart {
  loadCollector: typeof loadCollector
  drive: typeof drive
}

export { loadCollector }

export function drive(collector: Collector, settings: DeviceSettings, start: Start): Totango {
  let user = text(start.user)
  let account = text(start.account)
  let about: string | undefined

  // Calls that were made before it was there went to the server; it must know of whom the next ones tell.
  const known = { ...(user && { user: { id: user }, username: user }), ...(account && { account: { id: account } }) }
  if (user || account) go(known)

  /** With the module, for `go` overwrites it even by nothing. */
  function go(options: Record<string, unknown>): void {
    const module = start.module()
    collector.go({ ...options, ...(module !== undefined && { module }) })
  }

  function identify({ userId, traits }: SegmentEvent): boolean {
    user = text(userId)
    if (!user) return false
    about = user + JSON.stringify(traits ?? {})
    go({ user: described(traits, user, ['created', 'createdAt']), username: user })
    return saysAttributes()
  }

  function group({ groupId, traits, integrations }: SegmentEvent): boolean {
    const id = text(groupId)
    if (!id) return false
    account = id
    const more = integrations?.[settings.name]
    go({
      account: described(traits, id, ['createdAt', 'created']),
      ...(typeof more === 'object' ? pick(more as Record<string, unknown>) : {}),
    })
    return saysAttributes()
  }

  /** Attributes travel with heartbeats: without them, or without a user, the server must see to them. */
  const saysAttributes = () => !settings.disableHeartbeat && user !== undefined && account !== undefined

  function activities(event: SegmentEvent, names: string[]): boolean {
    const module = moduleOf(event, start.module(), settings)
    for (const name of names) collector.track(name, module)
    return names.length > 0
  }

  return {
    take: (event, of) => {
      if (event.type === 'identify') return identify(event)
      if (event.type === 'group') return group(event)
      const attributable = user && account && text(event.userId) === user && text(of) === account
      if (!attributable) return false
      if (event.type === 'track') return !!event.event && activities(event, [event.event])
      if (event.type !== 'page') return false
      const taken = activities(event, pageActivities(event, settings))
      const category = categoryOf(event)
      if (category !== undefined) collector.go({ module: category })
      return taken
    },
    get described() {
      return about
    },
    reset: () => {
      user = account = about = undefined
      collector.clear?.()
    },
  }
}

function pick(options: Record<string, unknown>): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const key of ['parent', 'product', 'enableHierarchy']) {
    if (options[key] !== undefined) found[key] = options[key]
  }
  return found
}

const text = (id: unknown) => ((typeof id === 'string' && id) || typeof id === 'number' ? String(id) : undefined)
