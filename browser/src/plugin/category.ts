import type { SegmentEvent } from '@segment/analytics-next'

/** Of a page call: at its top level, else in its properties, as text; undefined if it has none. The server's rule. */
export function categoryOf({ category, properties }: SegmentEvent): string | undefined {
  for (const one of [category, properties?.['category']] as unknown[]) {
    if ((typeof one === 'string' && one) || typeof one === 'number') return String(one)
  }
  return undefined
}
