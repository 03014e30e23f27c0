/** Totango in device mode: its part of the library is loaded when a source needs it. */

import type { Analytics, SegmentEvent } from '@segment/analytics-next'
import { files } from 'milonga:files'
import { loadChunk } from '../chunks'
import type { Totango, TotangoPart } from '../totango/totango'
import { report } from './guard'
import { reaches } from './integrations'
import type { Known } from './repeat'
import type { DeviceSettings } from './settings'

export interface Device {
  /** Whether Totango's collector has it. While that is not there, or fails, nothing is taken: the server delivers. */
  take: (event: SegmentEvent, account: unknown) => boolean
  /** Whether the collector knew this user's traits when it took this group event. */
  described: (event: SegmentEvent, known: Known | undefined) => boolean
  reset: () => void
}

export function startDevice(
  settings: DeviceSettings,
  bundles: string | undefined,
  analytics: Analytics,
  module: () => string | undefined,
): Device {
  let totango: Totango | undefined

  async function start(): Promise<void> {
    const part = (await loadChunk(bundles ?? '', files['totango'] ?? '')) as TotangoPart
    const collector = await part.loadCollector(settings, module())
    totango = part.drive(collector, settings, { user: analytics.user().id(), account: analytics.group().id(), module })
  }
  if (bundles && reaches(analytics.integrations)) start().catch(report)

  return {
    take: (event, account) => {
      if (taken(event)) return true // it comes by again when the SDK tries again
      return totango !== undefined && reaches(event.integrations) && totango.take(event, account)
    },
    described: (event, known) =>
      !!known && taken(event) && totango?.described === known.user + JSON.stringify(known.traits),
    reset: () => totango?.reset(),
  }

  function taken(event: SegmentEvent): boolean {
    return (event._metadata?.bundled ?? []).indexOf(settings.name) >= 0
  }
}
