/**
 * The plugin: what Milonga adds to analytics.js in a page. One code for pages with the snippet and for npm.
 *
 * An enrichment, so that it comes after all middleware of the page, and its failure costs no event.
 */

import type { Analytics, Context, Plugin } from '@segment/analytics-next'
import { version } from 'milonga:version'
import { guarded } from './guard'
import { type Session, startSession } from './session'
import type { PluginSettings } from './settings'

export function milongaPlugin(settings: PluginSettings): Plugin {
  let session: Session | undefined
  const pass = (ctx: Context) => {
    guarded(() => session?.(ctx))
    return ctx
  }
  return {
    name: 'Milonga',
    type: 'enrichment',
    version,
    isLoaded: () => session !== undefined,
    load(ctx: Context, analytics: Analytics) {
      guarded(() => (session = startSession(settings, analytics, ctx.constructor as typeof Context)))
      return Promise.resolve()
    },
    identify: pass,
    group: pass,
    page: pass,
    track: pass,
    screen: pass,
    alias: pass,
  }
}
