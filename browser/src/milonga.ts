/** `milonga.js`: the plugin alone, for pages that bundle the SDK from npm. The settings name it as a remote plugin. */

import { milongaPlugin } from './plugin/plugin'
import type { PluginSettings } from './plugin/settings'

declare global {
  interface Window {
    milongaPlugin?: typeof milongaPlugin
  }
}

// Only while it runs does a script know where it came from.
const source = (document.currentScript as HTMLScriptElement | null)?.src
const bundles = source && new URL('bundles/', source).href

window.milongaPlugin = (settings: PluginSettings) => milongaPlugin({ bundles, ...settings })
