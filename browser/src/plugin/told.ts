/**
 * What Totango has been told of users: which traits of whom for which account were last on their way. In localStorage,
 * so that page loads and tabs share it; as hashes, so that nothing can be read from it.
 */

import type { Analytics } from '@segment/analytics-next'

/** Who (user and account) and what (traits). */
type Told = [string, string]

const MOST = 50 // accounts and users of this browser remembered; the oldest are forgotten first

export interface Tellings {
  /** Whether it is remembered beyond this page load. */
  lasting: () => boolean
  was: (user: string, account: string, traits: unknown) => boolean
  /** through  whether the event has left; until then it is remembered in this page load only, for it may get lost with it */
  set: (user: string, account: string, traits: unknown, through: boolean) => void
}

export function tellings(analytics: Analytics, writeKey: unknown): Tellings {
  const key = `milonga:told:${String(writeKey)}`
  const here = new Map<string, string>()
  let lasting = mayStore(analytics.options)

  function stored(): Told[] {
    try {
      const found: unknown = lasting && JSON.parse(localStorage.getItem(key) ?? '[]')
      return Array.isArray(found) ? (found as Told[]) : []
    } catch {
      return []
    }
  }

  return {
    lasting: () => lasting,
    was: (user, account, traits) => {
      const who = hash([user, account])
      return (here.get(who) ?? stored().find((told) => told[0] === who)?.[1]) === hash(traits)
    },
    set: (user, account, traits, through) => {
      const who = hash([user, account])
      const what = hash(traits)
      here.set(who, what)
      if (!through || !lasting) return
      try {
        const all = [...stored().filter((told) => told[0] !== who), [who, what]]
        localStorage.setItem(key, JSON.stringify(all.slice(-MOST)))
      } catch {
        lasting = false
      }
    },
  }
}

/** Whether the page lets the SDK itself use localStorage, and the browser the page. */
function mayStore(options: Analytics['options']): boolean {
  const stores = (options.storage as { stores?: (string | { name: string })[] } | undefined)?.stores
  const asked = !stores || stores.some((store) => (typeof store === 'string' ? store : store.name) === 'localStorage')
  try {
    return asked && !options.disableClientPersistence && typeof localStorage.getItem('') !== 'undefined'
  } catch {
    return false
  }
}

/** FNV-1a, 32 bits, of the value as JSON. */
function hash(value: unknown): string {
  const text = JSON.stringify(value)
  let sum = 0x811c9dc5
  for (let at = 0; at < text.length; at++) sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193)
  return (sum >>> 0).toString(36)
}
