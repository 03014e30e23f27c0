/** Names and modules of activities, by the server's rules: docs/totango.md, "Pages" and "Module". */

import type { SegmentEvent } from '@segment/analytics-next'
import { categoryOf } from '../plugin/category'
import type { DeviceSettings } from '../plugin/settings'

/** `Viewed Docs Page`, then `Viewed Docs Index Page`, as the settings have it. */
export function pageActivities(page: SegmentEvent, settings: DeviceSettings): string[] {
  const found: string[] = []
  const { name } = page
  const category = categoryOf(page)
  if (category && settings.trackCategorizedPages) found.push(`Viewed ${category} Page`)
  if (name && settings.trackNamedPages) found.push(`Viewed ${category ? `${category} ` : ''}${name} Page`)
  return found
}

/** remembered  category of the last page call */
export function moduleOf(
  event: SegmentEvent,
  remembered: string | undefined,
  { moduleFromUrl = true, defaultModule = '' }: DeviceSettings,
): string {
  // A track call has a category in its properties only.
  const own = categoryOf(event) ?? (event.type === 'track' ? remembered : undefined)
  if (own !== undefined) return own
  const path = text(event.context?.page?.path) ?? location.pathname
  return (moduleFromUrl && firstSegment(path)) || defaultModule || 'Application'
}

function firstSegment(path: string): string | undefined {
  const segment = path.split(/[?#]/)[0]?.split('/').find(Boolean)
  try {
    return segment && decodeURIComponent(segment)
  } catch {
    return segment
  }
}

const text = (value: unknown) => (typeof value === 'string' && value ? value : undefined)
