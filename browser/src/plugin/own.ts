/** Events that the plugin sends by itself, for Totango alone. */

import type { Analytics, Context, SegmentEvent } from '@segment/analytics-next'
import { getDefaultPageContext } from '@segment/analytics-page-tools'
import { TOTANGO } from './integrations'

/**
 * For the SDK's queue, and so through all middleware of the page (consent, scrubbing), but not through its listeners and
 * wrappers of `analytics`: to them it would be a call that the page never made.
 */
export function ownEvent(
  analytics: Analytics,
  contextOf: typeof Context,
  account: unknown,
  fields: Partial<SegmentEvent> & Pick<SegmentEvent, 'type'>,
): Context {
  const user = analytics.user()
  return new contextOf({
    timestamp: new Date(),
    userId: user.id(),
    anonymousId: user.anonymousId(),
    context: { groupId: account, page: getDefaultPageContext() },
    integrations: { All: false, [TOTANGO]: true },
    ...fields,
  } as SegmentEvent)
}
