/** What a chart is drawn from, and the same in words and as a table: for whoever does not see it, or wants the figures. */

export interface Series {
  name: string
  tone: string
  /** One for each of the times; null where nothing is known. */
  values: (number | null)[]
  /** '' for events, 'ms' for how long something took; that of the chart unless it has its own. */
  unit?: string
}

export interface Figures {
  /** Unix seconds: where each period begins. */
  times: number[]
  unit: string
  /** Minutes of a period. */
  every: number
  /** What each value is of its period: a count (the last period still goes on), the most, or a percentile. */
  of: 'counts' | 'most' | 'percentile'
  series: Series[]
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' })

export function isLong({ times }: Figures): boolean {
  return (times.at(-1) ?? 0) - (times[0] ?? 0) > 2 * 86_400
}

/** A time of day, or a day as well where they are many. */
export function moment(figures: Figures, at: number): string {
  return isLong(figures) ? `${day.format(at * 1000)} ${clock.format(at * 1000)}` : clock.format(at * 1000)
}

export function onAxis(figures: Figures, at: number): string {
  return (isLong(figures) ? day : clock).format(at * 1000)
}

/** `38 ms`, `4.2 s`, `3 min`, `5 h`, `2 d`: as the pages have them. */
export function duration(ms: number): string {
  if (ms === 0) return '0'
  if (ms < 1_000) return `${Math.round(ms).toString()} ms`
  const seconds = ms / 1_000
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1).replace('.0', '') : Math.round(seconds).toString()} s`
  if (seconds < 3_600) return `${Math.round(seconds / 60).toString()} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3_600).toString()} h`
  return `${Math.round(seconds / 86_400).toString()} d`
}

/** The same beside a line of the grid, which may stand between two whole ones: `1.5 min`. */
export function durationOnAxis(ms: number): string {
  for (const [size, unit] of [[86_400_000, 'd'], [3_600_000, 'h'], [60_000, 'min'], [1_000, 's']] as const) {
    if (ms >= size) return `${Number((ms / size).toFixed(1)).toString()} ${unit}`
  }
  return duration(ms)
}

export function unitOf(figures: Figures, series: Series): string {
  return series.unit ?? figures.unit
}

export function told(figures: Figures, series: Series, value: number | null | undefined): string {
  if (value === null || value === undefined) return '–'
  return unitOf(figures, series) === 'ms' ? duration(value) : value.toLocaleString()
}

/** A period that still goes on is drawn once it has as much as the last one: else each line would seem to end in a fall. */
export function drawn(figures: Figures, { values }: Series): (number | null)[] {
  const [last, now] = [values.at(-2) ?? 0, values.at(-1) ?? 0]
  return figures.of !== 'counts' || now >= last ? values : [...values.slice(0, -1), null]
}

/** The newest period of which anything is known; null if there is none. */
function newest({ times, series }: Figures): number | null {
  const known = times.map((_, place) => place).filter((place) => series.some(({ values }) => values[place] !== null))
  return known.at(-1) ?? null
}

/** What a line comes to, in one figure: counts add up; of the rest it is where the line ends. */
export function summed(figures: Figures, { values }: Series): number | null {
  if (figures.of === 'counts') return values.reduce<number>((all, one) => all + (one ?? 0), 0)
  const place = newest(figures)
  return place === null ? null : (values[place] ?? null)
}

/** What that figure is of: `in all`, `latest minute`, `most in the latest hour`, `most at 22:15`. */
export function summedOf(figures: Figures): string {
  if (figures.of === 'counts') return 'in all'
  const place = newest(figures)
  if (place === null) return ''
  if (place === figures.times.length - 1) return `${figures.of === 'most' ? 'most in the ' : ''}latest ${period(figures)}`
  return `${figures.of === 'most' ? 'most ' : ''}at ${moment(figures, figures.times[place] ?? 0)}`
}

function period({ every }: Figures): string {
  if (every === 1) return 'minute'
  if (every < 60) return `${every.toString()} min`
  if (every === 60) return 'hour'
  return every < 1_440 ? `${(every / 60).toString()} h` : 'day'
}

export function isNothing({ series }: Figures): boolean {
  return series.every(({ values }) => values.every((value) => value === null || value === 0))
}

export function isUnknown({ series }: Figures): boolean {
  return series.every(({ values }) => values.every((value) => value === null))
}

/** What is drawn, what each line comes to, and how high it went. */
export function inWords(figures: Figures): string {
  const [first, last] = [figures.times[0] ?? 0, figures.times.at(-1) ?? 0]
  const lines = figures.series.map((series) => {
    const known = series.values.filter((value) => value !== null)
    const most = Math.max(...known, 0)
    if (most === 0) return `${series.name}: ${known.length > 0 ? 'none' : 'nothing known'}.`
    const at = figures.times[series.values.indexOf(most)] ?? first
    return `${series.name}: ${told(figures, series, summed(figures, series))} ${summedOf(figures)}, highest ${told(figures, series, most)} at ${moment(figures, at)}.`
  })
  const span = `from ${moment(figures, first)} to ${moment(figures, last)}`
  return `A chart ${span}, a value for each ${period(figures)}. ${lines.join(' ')}`
}

/** The newest period first. */
export function asTable(figures: Figures): HTMLTableElement {
  const table = document.createElement('table')
  const head = table.createTHead().insertRow()
  for (const [place, words] of ['From', ...figures.series.map(({ name }) => name)].entries()) {
    const cell = document.createElement('th')
    cell.scope = 'col'
    cell.textContent = words
    if (place > 0) cell.className = 'num'
    head.append(cell)
  }
  const body = table.createTBody()
  for (const [place, at] of [...figures.times.entries()].reverse()) {
    const row = body.insertRow()
    const time = document.createElement('time')
    time.dateTime = new Date(at * 1000).toISOString()
    time.textContent = `${day.format(at * 1000)} ${clock.format(at * 1000)}`
    time.title = `${time.dateTime.replace('T', ' ').slice(0, 16)} UTC`
    row.insertCell().append(time, place === figures.times.length - 1 && figures.of === 'counts' ? ' so far' : '')
    for (const series of figures.series) {
      const cell = row.insertCell()
      cell.className = 'num'
      cell.textContent = told(figures, series, series.values[place])
    }
  }
  return table
}
