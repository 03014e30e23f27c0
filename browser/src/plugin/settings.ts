/** What the server tells the plugin. */

/** As `Destination.browser` of the server says it, for a destination that is on. */
export interface Destination {
  name: string
  mode?: 'cloud' | 'device'
  heartbeat?: boolean
  /** Changes with the service behind it, which then knows nothing of what the one before was told. */
  fingerprint?: string
  /** Its events are kept for it, so that none may reach it past the server. */
  paused?: boolean
}

/** Totango in device mode: what its own collector is driven with. */
export interface DeviceSettings extends Destination {
  serviceId: string
  region: string
  /** Address of Totango's script. */
  collector: string
  trackNamedPages: boolean
  trackCategorizedPages: boolean
  disableHeartbeat: boolean
  moduleFromUrl?: boolean
  defaultModule?: string
}

export interface PluginSettings {
  destinations?: Destination[]
  /** Where the chunks are, with a slash. */
  bundles?: string | undefined
  /** Of `Segment.io`, which analytics.js mixes in for remote plugins. */
  [key: string]: unknown
}
