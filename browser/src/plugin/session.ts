/** One analytics instance in one page load. */

import type { Analytics, Context, SegmentEvent } from '@segment/analytics-next'
import { saidAccount } from './account'
import { categoryOf } from './category'
import { type Device, startDevice } from './device'
import { guarded } from './guard'
import { heartbeats, isHeartbeat, type SendSettings, sendHeartbeat } from './heartbeat'
import { services, totangos } from './integrations'
import { type Known, repeats } from './repeat'
import type { DeviceSettings, PluginSettings } from './settings'
import { tellings } from './told'

/** What held when a call was made. The SDK sends later, when group(), page() or reset() may have changed it. */
interface Moment {
  account?: unknown
  /** The module that earlier page calls have set. */
  module?: string | undefined
  /** At identify: the traits as they are stored. */
  traits?: unknown
  /** At group: the user. */
  known?: Known | undefined
}

/** Takes events on their way out. */
export type Session = (ctx: Context) => void

export function startSession(settings: PluginSettings, analytics: Analytics, contextOf: typeof Context): Session {
  const moments = new WeakMap<Context, Moment>()
  let module: string | undefined

  const send = (): SendSettings & { unbundledIntegrations?: string[]; addBundledMetadata?: boolean } => ({
    ...(settings as SendSettings),
    ...analytics.settings.cdnSettings?.integrations['Segment.io'],
    ...(analytics.integrations['Segment.io'] as object | undefined),
  })

  const ours = totangos(settings)
  const inDevice = ours.find(({ mode, paused }) => mode === 'device' && !paused) as DeviceSettings | undefined
  const repeat = ours.length
    ? repeats(analytics, contextOf, tellings(analytics, send().apiKey), services(ours), (ctx, traits) =>
        moments.set(ctx, { traits }),
      )
    : undefined
  if (ours.some(({ mode, heartbeat }) => heartbeat && mode !== 'device')) heartbeats(analytics, contextOf, () => module)
  const device: Device | undefined =
    inDevice && send().addBundledMetadata === false
      ? startDevice(inDevice, settings.bundles, analytics, () => module)
      : undefined

  // The SDK tells of a call before it does anything else with it.
  analytics.on('dispatch_start', (ctx: Context) => guarded(() => called(ctx)))
  analytics.on('reset', () => {
    module = undefined
    guarded(() => device?.reset())
  })
  analytics.queue.on('message_delivered', (ctx: Context) => guarded(() => delivered(ctx)))

  function called(ctx: Context): void {
    const event = ctx.event
    const moment: Moment = { account: analytics.group().id() }
    if (event.type === 'identify') moment.traits = { ...event.traits }
    if (event.type === 'group') moment.known = repeat?.known()
    if (event.type === 'track') moment.module = module
    if (event.type === 'page') module = categoryOf(event)
    moments.set(ctx, moment)
  }

  function delivered(ctx: Context): void {
    const { known, traits } = moments.get(ctx) ?? {}
    if (traits) repeat?.identified(ctx.event, traits, true)
    if (ctx.event.type === 'group' && !device?.described(ctx.event, known)) repeat?.grouped(ctx.event, known)
  }

  /** Of an event that the last page could not send: what is known now, if the user is still the same. */
  function stranger({ type, userId, groupId }: SegmentEvent): Moment {
    if ((userId ?? null) !== (analytics.user().id() ?? null)) return {}
    const account = analytics.group().id()
    return { account, known: type === 'group' && groupId === account ? repeat?.known() : undefined }
  }

  return (ctx) => {
    const event = ctx.event
    if (isHeartbeat(event)) {
      if (device) mark(event, true) // that Totango has heartbeats of its own
      sendHeartbeat(event, send())
      event.integrations = { All: false, 'Segment.io': false }
      return
    }
    const context = (event.context ??= {}) as Record<string, unknown>
    const moment = moments.get(ctx) ?? stranger(event)
    moments.set(ctx, moment)
    let account: unknown = event.groupId
    if (event.type !== 'group') {
      account = saidAccount(context)
      if (account === undefined && moment.account) account = context['groupId'] = moment.account
    }
    if (moment.module !== undefined) {
      const page = (context['page'] ??= {}) as Record<string, unknown>
      page['category'] ??= moment.module
    }
    if (moment.traits) repeat?.identified(event, moment.traits, false)
    if (event.type === 'group') repeat?.grouping(event)
    if (device) mark(event, device.take(event, account))
  }

  /** Which destinations the browser has served, and which the server must: as the SDK itself says it. */
  function mark(event: SegmentEvent, taken: boolean): void {
    const name = (inDevice as DeviceSettings).name
    event._metadata = {
      ...event._metadata,
      bundled: taken ? ['Segment.io', name] : ['Segment.io'],
      unbundled: (send().unbundledIntegrations ?? []).filter((one) => !taken || one !== name),
      bundledIds: [],
    }
  }
}
