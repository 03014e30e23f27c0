/** Traits as attributes of a user or an account. */

type Json = Record<string, unknown>

const SECONDS = 31_557_600_000 // smaller numbers are seconds since 1970, larger ones milliseconds

/**
 * dates  the traits that may hold the creation date, the better first. `created` itself is not sent beside it
 *
 * Source: analytics.js-integrations, totango 2.1.0; segmentio-facade 3.2.7 for dates.
 */
export function described(traits: object | undefined, id: string, dates: string[]): Json {
  const all = (traits ?? {}) as Json
  const found = JSON.parse(JSON.stringify(all)) as Json // dates as ISO text
  delete found['created']
  const said = dates.map((key) => all[key]).find((value) => value || value === false)
  const date = isoDate(said)
  return { ...found, ...(date && { 'Create Date': date }), id }
}

function isoDate(value: unknown): string | undefined {
  const number = typeof value === 'string' && /^(\d{10}|\d{13})$/.test(value) ? Number(value) : value
  if (number instanceof Date) return isoOf(number.getTime())
  if (typeof number === 'number') return isoOf(number < SECONDS ? number * 1000 : number)
  return typeof number === 'string' && /^\d{4}-\d\d-\d\d/.test(number) ? isoOf(Date.parse(number)) : undefined
}

const isoOf = (time: number) => (Number.isFinite(time) ? new Date(time).toISOString() : undefined)
