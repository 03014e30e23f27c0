/**
 * `analytics.min.js`: what a page with Segment's snippet loads.
 *
 * Does what dist/umd/standalone.js of the package does, with these differences: settings and write key stand in the
 * script, so that nothing is fetched to start; our plugin is inside; nothing is ever asked of, or told to, any other
 * host, also if the start fails (no error metrics, no polyfill for Internet Explorer, no fall-back to analytics.js 1).
 *
 * The imports of dist/pkg are what standalone.js is made of and the package does not export: without them the queue of
 * the snippet is not read (setVersionType), nor its name, nor is the instance put in its place.
 */

// What the server fills in comes first: it packs what stands before and after each on its own.
import { rendered } from './rendered'
import { embeddedWriteKey } from '@segment/analytics-next/dist/pkg/lib/embedded-write-key'
import { AnalyticsBrowser, getGlobalAnalytics } from '@segment/analytics-next'
import type { AnalyticsSnippet, CDNSettings } from '@segment/analytics-next'
import { setGlobalAnalytics, setGlobalAnalyticsKey } from '@segment/analytics-next/dist/pkg/lib/global-analytics-helper'
import { getCDN, setGlobalCDNUrl } from '@segment/analytics-next/dist/pkg/lib/parse-cdn'
import { setVersionType } from '@segment/analytics-next/dist/pkg/lib/version-type'
import { bundles } from './chunk'
import { milongaPlugin } from './plugin/plugin'
import type { PluginSettings } from './plugin/settings'

const KEY_OF_GLOBAL = 'script[data-global-segment-analytics-key]'

async function install(): Promise<void> {
  // Of several scripts on the page the one that runs; where a browser does not say, the first, as standalone.js does.
  const script = document.currentScript ?? document.querySelector<HTMLScriptElement>(KEY_OF_GLOBAL)
  const key = script?.dataset['globalSegmentAnalyticsKey']
  if (key) setGlobalAnalyticsKey(key)

  const page = getGlobalAnalytics()
  setGlobalCDNUrl(page?._cdn ?? rendered.cdn)
  const writeKey = embeddedWriteKey() ?? page?._writeKey
  if (!writeKey) throw new Error('no write key: this script was not served by Milonga')

  const cdnSettings = typeof rendered.settings === 'string' ? undefined : rendered.settings
  const plugin = milongaPlugin({ ...toldTo(cdnSettings), bundles: bundles() })
  // It is inside already, so it must not be loaded once more.
  if (cdnSettings) cdnSettings.remotePlugins = []
  const loaded = AnalyticsBrowser.load({ writeKey, cdnSettings, plugins: [plugin] }, page?._loadOptions ?? {})
  setGlobalAnalytics((await loaded)[0] as AnalyticsSnippet)
}

function toldTo(settings: CDNSettings | undefined): PluginSettings {
  return (settings?.remotePlugins?.[0]?.settings ?? {}) as PluginSettings
}

document.addEventListener('securitypolicyviolation', (event) => {
  if (event.disposition === 'report' || event.blockedURI.indexOf(getCDN()) !== 0) return
  console.error(
    '[analytics.js]',
    `The Content-Security-Policy of this page keeps events from ${event.blockedURI}: allow ${getCDN()}`,
    `in its ${event.effectiveDirective}.`,
  )
})

setVersionType('web')
install().catch((error: unknown) => {
  console.error('[analytics.js]', 'Failed to load Analytics.js', error)
})
