/** What the server fills in for whoever asks. Both literals stand once in what is built; build.js makes sure of it. */

import type { CDNSettings } from '@segment/analytics-next'

/**
 * cdn       scheme and host that this script was asked from, `https://events.example.com`
 * settings  the document of `/v1/projects/KEY/settings`; its own name if nobody filled it in
 *
 * In an object, since a constant would be repeated wherever it is used.
 */
export const rendered: { cdn: string; settings: CDNSettings | string } = {
  cdn: '__MILONGA_CDN__',
  settings: '__MILONGA_SETTINGS__',
}
