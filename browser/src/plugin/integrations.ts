/** Which destinations a call is for. */

import type { PluginSettings, Destination } from './settings'

export const TOTANGO = 'Totango'

/**
 * By its `integrations`: the destination's own entry decides if it is true, false or an object (which means on), else
 * `All`, else `all`. The server's rule, which is that of Segment's facade.
 */
export function reaches(integrations: Record<string, unknown> = {}): boolean {
  const own = integrations[TOTANGO]
  if (typeof own === 'boolean') return own
  if (own && typeof own === 'object') return true
  const all = typeof integrations['All'] === 'boolean' ? integrations['All'] : integrations['all']
  return all !== false
}

/** Those of the server's settings that are Totango's: one for each that is on. */
export function totangos(settings: PluginSettings): Destination[] {
  const all = Array.isArray(settings.destinations) ? settings.destinations : []
  return all.filter((one) => one?.name === TOTANGO)
}

/** Of all of them, in any order; another text if one is exchanged for another. */
export const services = (destinations: Destination[]) =>
  destinations
    .map(({ fingerprint }) => String(fingerprint))
    .sort()
    .join()
