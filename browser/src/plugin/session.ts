/** One analytics instance in one page load. */

import type { Analytics, Context } from '@segment/analytics-next'
import { saidAccount } from './account'
import { guarded } from './guard'
import type { PluginSettings } from './settings'

/** What held when a call was made. The SDK sends later, when group(), page() or reset() may have changed it. */
interface Moment {
  account: unknown
}

export class Session {
  private readonly moments = new WeakMap<Context, Moment>()

  constructor(
    readonly settings: PluginSettings,
    readonly analytics: Analytics,
    readonly contextOf: typeof Context,
  ) {
    analytics.on('dispatch_start', (ctx: Context) => guarded(() => this.called(ctx)))
  }

  /** A call is made: the SDK tells of it before it does anything else. */
  private called(ctx: Context): void {
    this.moments.set(ctx, { account: this.analytics.group().id() })
  }

  /** An event is on its way out. */
  pass(ctx: Context): void {
    const event = ctx.event
    const context = (event.context ??= {}) as Record<string, unknown>
    const moment = this.moments.get(ctx) ?? this.stranger(ctx)
    if (event.type !== 'group' && moment.account && saidAccount(context) === undefined) {
      context['groupId'] = moment.account
    }
  }

  /** Of an event that the last page could not send: what is known now, if the user is still the same. */
  private stranger(ctx: Context): Moment {
    const same = (ctx.event.userId ?? null) === (this.analytics.user().id() ?? null)
    return { account: same ? this.analytics.group().id() : undefined }
  }
}
