/**
 * Identify before group, as Segment's documentation asks: when the identify goes out, nobody has named an account, so
 * Totango cannot take it. Once group() has, the stored traits go to Totango once more, and to Totango alone.
 */

import type { Analytics, Context, SegmentEvent } from '@segment/analytics-next'
import { saidAccount } from './account'
import { guarded } from './guard'
import { reaches } from './integrations'
import { ownEvent } from './own'
import type { Tellings } from './told'

const SETTLED = 2000 // ms after which a page has made the calls that it makes on each load

/** Who is known when group() is called. The group event must be through before the repeat, and by then it may differ. */
export interface Known {
  user: string
  anonymousId: unknown
  traits: Record<string, unknown>
}

export interface Repeats {
  /** Of the user known now; none if nobody is. */
  known: () => Known | undefined
  /** An identify with these stored traits goes out; then it is through. */
  identified: (event: SegmentEvent, traits: unknown, through: boolean) => void
  /** A group event goes out. */
  grouping: (event: SegmentEvent) => void
  /** It is through; who was known when the call was made. */
  grouped: (event: SegmentEvent, known: Known | undefined) => void
}

// What the page has kept from Totango: traits of a user, and an account.
const NO_ACCOUNT = ''
const NO_USER = ''

/**
 * services  which ones hear them: what others were told before, these have not heard
 * sends     told of each repeat before it is sent: it is an identify like any other
 */
export function repeats(
  analytics: Analytics,
  contextOf: typeof Context,
  told: Tellings,
  services: string,
  sends: (ctx: Context, traits: unknown) => void,
): Repeats {
  function known(): Known | undefined {
    const user = analytics.user()
    const id = user.id()
    return id ? { user: String(id), anonymousId: user.anonymousId(), traits: { ...user.traits() } } : undefined
  }

  // What is kept from Totango is so whichever service it is: only what was told depends on that.
  const heard = (traits: unknown) => [services, traits]

  function kept({ groupId, integrations }: SegmentEvent, through: boolean): void {
    const meant = reaches(integrations)
    if (groupId) told.set(NO_USER, String(groupId), meant, through || !meant)
  }

  function settle({ user, anonymousId, traits }: Known, account: unknown): void {
    const id = String(account)
    const what = heard(traits)
    if (told.was(NO_USER, id, false) || told.was(user, NO_ACCOUNT, traits) || told.was(user, id, what)) return
    told.set(user, id, what, false)
    const ctx = ownEvent(analytics, contextOf, account, { type: 'identify', userId: user, traits })
    ctx.event.anonymousId = anonymousId as string
    ctx.event.messageId = `again-${ctx.id}`
    sends(ctx, traits)
    void analytics.queue.dispatchSingle(ctx)
  }

  // A page that was left before its group event was through owes the repeat still.
  const settleRest = () => {
    const now = known()
    const account = analytics.group().id()
    if (now && account && told.lasting() && reaches(analytics.integrations)) settle(now, account)
  }
  setTimeout(() => guarded(settleRest), SETTLED)

  return {
    known,
    identified: ({ userId, integrations, context }, traits, through) => {
      if (!userId) return
      const meant = reaches(integrations)
      // What is kept back is so from the start: the page may be left before this is through.
      told.set(String(userId), NO_ACCOUNT, meant ? null : traits, through || !meant)
      const account = saidAccount(context)
      if (meant && account) told.set(String(userId), String(account), heard(traits), through)
    },
    grouping: (event) => kept(event, false),
    grouped: (event, who) => {
      kept(event, true)
      if (who && event.groupId) settle(who, event.groupId)
    },
  }
}
