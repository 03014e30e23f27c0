/**
 * Identify before group, as Segment's documentation asks: when the identify goes out, nobody has named an account, so
 * Totango cannot take it. Once group() has, the stored traits go to Totango once more, and to Totango alone.
 */

import type { Analytics, Context, SegmentEvent } from '@segment/analytics-next'
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
  /** An identify goes out, with the traits as they are stored. */
  identified: (event: SegmentEvent, account: unknown, traits: unknown) => void
  /** A group event is through. */
  grouped: (event: SegmentEvent, known: Known) => void
}

const NO_ACCOUNT = ''

export function repeats(analytics: Analytics, contextOf: typeof Context, told: Tellings): Repeats {
  function known(): Known | undefined {
    const user = analytics.user()
    const id = user.id()
    return id ? { user: String(id), anonymousId: user.anonymousId(), traits: { ...user.traits() } } : undefined
  }

  function settle({ user, anonymousId, traits }: Known, account: unknown): void {
    const id = String(account)
    // The page kept these very traits from Totango (NO_ACCOUNT), or has sent them along with this account.
    if (told.was(user, NO_ACCOUNT, traits) || told.was(user, id, traits)) return
    told.set(user, id, traits)
    const ctx = ownEvent(analytics, contextOf, account, { type: 'identify', userId: user, traits })
    ctx.event.anonymousId = anonymousId as string
    ctx.event.messageId = `again-${ctx.id}`
    void analytics.queue.dispatch(ctx)
  }

  // A page that was left before its group event was through owes the repeat still.
  setTimeout(() => {
    const now = known()
    const account = analytics.group().id()
    if (now && account && told.lasting() && reaches(analytics.integrations)) settle(now, account)
  }, SETTLED)

  return {
    known,
    identified: ({ userId, integrations }, account, traits) => {
      if (!userId) return
      if (reaches(integrations)) {
        told.set(String(userId), NO_ACCOUNT, undefined)
        if (account) told.set(String(userId), String(account), traits)
      } else told.set(String(userId), NO_ACCOUNT, traits)
    },
    grouped: ({ groupId, integrations }, who) => {
      if (groupId && reaches(integrations)) settle(who, groupId)
    },
  }
}
