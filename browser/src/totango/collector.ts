/**
 * Totango's script: the stub it expects, its options, and its address. Source: published copies of Totango's snippet;
 * analytics.js-integrations, totango 2.1.0. Milonga has never met the real one.
 */

import { loadScript } from '../chunks'
import type { DeviceSettings } from '../plugin/settings'

export interface Collector {
  go: (options: Record<string, unknown>) => unknown
  track: (activity: string, module?: string) => unknown
  /** Version 2 has it. */
  clear?: () => unknown
}

declare global {
  interface Window {
    totango?: Collector
    totango_options?: Record<string, unknown>
    totango_tmp_stack?: unknown[]
  }
}

const PATIENCE = 10_000 // ms after its script has loaded
const STEP = 50

/** Rejects if there is none: the script cannot be had, or does not put itself into the stub's place. */
export async function loadCollector(settings: DeviceSettings, module: string | undefined): Promise<Collector> {
  window.totango_options = {
    allow_empty_accounts: false,
    service_id: settings.serviceId,
    region: settings.region,
    disable_heartbeat: settings.disableHeartbeat,
    ...(module !== undefined && { module }),
  }
  const waiting: unknown[] = (window.totango_tmp_stack ??= [])
  const nothing = () => undefined
  const stub = {
    go: () => -1,
    track: (activity: string, module?: string, org?: unknown, user?: unknown) =>
      waiting.push({ activity, module, org, user }),
    ...{ identify: nothing, setAccountAttributes: nothing, setUserAttributes: nothing },
  }
  window.totango ??= stub
  await loadScript(settings.collector)
  for (let waited = 0; waited < PATIENCE; waited += STEP) {
    const found = window.totango
    if (found !== stub && typeof found?.go === 'function' && typeof found.track === 'function') return found
    await new Promise((resolve) => setTimeout(resolve, STEP))
  }
  throw new Error(`${settings.collector} did not become window.totango`)
}
