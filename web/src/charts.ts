/**
 * `<div class="chart" data-chart="/charts/...">` (parts.chart): lines over time, read from there as Figures. Its
 * data-state says how it stands: loading, drawn, empty, failed. All of it has its size before anything is there.
 */

import uPlot from 'uplot'

import { asTable, drawn, durationOnAxis, inWords, isLong, isNothing, isUnknown, moment, onAxis, summed, summedOf, told, unitOf } from './figures'
import type { Figures, Series } from './figures'

const HEIGHT = 190 // pixels of the lines and their axes, as in parts.css
const AGAIN = 60_000 // milliseconds: figures are counted by the minute

const COUNTS = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((one) => one * 10 ** power)).flat()
const DURATIONS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200].map((one) => one * 1000),
  ...[1, 2, 5, 7, 14].map((one) => one * 86_400_000),
]
const TIMES = [60, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400]
const DAYS = [1, 2, 4, 7, 14, 28].map((one) => one * 86_400)

const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 })
const charts = new Map<HTMLElement, Chart>()

export function drawCharts(root: HTMLElement): void {
  const places = [...root.querySelectorAll<HTMLElement>('.chart[data-chart]')]
  if (root.matches('.chart[data-chart]')) places.push(root)
  for (const place of places) {
    const chart = charts.get(place) ?? new Chart(place)
    charts.set(place, chart)
    void chart.load()
  }
}

class Chart {
  private readonly lines: HTMLElement
  private readonly legend: HTMLElement
  private readonly table: HTMLDetailsElement
  private readonly hidden = new Set<string>()
  private plot: uPlot | null = null
  private figures: Figures | null = null
  private readAt = 0

  constructor(private readonly place: HTMLElement) {
    this.lines = this.part('lines')
    this.legend = this.part('legend')
    this.table = this.part<HTMLDetailsElement>('table')
    this.table.addEventListener('toggle', () => this.fill())
  }

  /** By the header the server knows that nobody asked for it: a page that is left alone keeps no session going. */
  async load(): Promise<void> {
    try {
      const answer = await fetch(this.place.dataset.chart ?? '', { headers: { Accept: 'application/json', 'HX-Request': 'true' } })
      if (!answer.ok) throw new Error(String(answer.status))
      this.figures = (await answer.json()) as Figures
    } catch {
      this.fail()
      return
    }
    this.readAt = Date.now()
    this.part('late').textContent = ''
    if (isNothing(this.figures)) {
      const { empty = 'Nothing in this time.', unknown } = this.place.dataset
      this.say('empty', isUnknown(this.figures) ? (unknown ?? empty) : empty)
    } else {
      this.draw()
    }
  }

  /** What is drawn stays, and says how old it is. */
  private fail(): void {
    if (this.figures !== null) {
      this.part('late').textContent = `Could not be renewed: as of ${new Date(this.readAt).toLocaleTimeString()}.`
      return
    }
    this.say('failed', 'The figures could not be read.')
    const again = document.createElement('button')
    again.type = 'button'
    again.className = 'small'
    again.textContent = 'Try again'
    again.addEventListener('click', () => {
      this.say('loading', 'Loading…')
      void this.load()
    })
    this.part('word').append(again)
  }

  private say(state: string, words: string): void {
    this.plot?.destroy()
    this.plot = null
    this.legend.replaceChildren()
    this.part('when').textContent = ''
    this.place.dataset.state = state
    this.part('word').replaceChildren(words)
    this.part('summary').textContent = ''
  }

  /** anew: nothing else has changed than how it looks */
  draw(anew = false): void {
    const { figures } = this
    if (figures === null || (anew && this.plot === null)) return
    const data: uPlot.AlignedData = [figures.times, ...figures.series.map((one) => drawn(figures, one))]
    const same = this.plot?.series.slice(1).map((one) => one.label).join() === figures.series.map((one) => one.name).join()
    this.place.dataset.state = 'drawn'
    this.part('word').replaceChildren()
    this.part('summary').textContent = inWords(figures)
    if (this.plot !== null && same && !anew) {
      this.plot.setData(data)
    } else {
      this.plot?.destroy()
      this.lines.replaceChildren()
      this.plot = new uPlot(this.options(figures), data, this.lines)
      this.name(figures)
    }
    this.tell(this.plot.cursor.idx ?? null)
    this.fill()
  }

  fit(): void {
    if (this.lines.clientWidth > 0) this.plot?.setSize({ width: this.lines.clientWidth, height: HEIGHT })
  }

  private options(figures: Figures): uPlot.Options {
    const tone = (name: string): string => colour(this.lines, name)
    const axis = { stroke: tone('muted'), grid: { stroke: tone('line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' }
    const left = figures.series[0] === undefined ? '' : unitOf(figures, figures.series[0])
    const right = figures.series.find((one) => unitOf(figures, one) !== left)
    const scale = { range: (_self: uPlot, _min: number, max: number): uPlot.Range.MinMax => [0, Math.max(max * 1.1, 1)] }
    const values = (unit: string) => (_self: uPlot, splits: number[]): string[] => splits.map((one) => (unit === 'ms' ? durationOnAxis(one) : compact.format(one)))
    const incrs = (unit: string): number[] => (unit === 'ms' ? DURATIONS : COUNTS)
    return {
      width: this.lines.clientWidth,
      height: HEIGHT,
      padding: [8, null, null, null],
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      legend: { show: false },
      scales: { y: scale, ...(right === undefined ? {} : { right: scale }) },
      axes: [
        { ...axis, values: (_self, splits) => splits.map((at) => onAxis(figures, at)), incrs: isLong(figures) ? DAYS : TIMES, space: 64, size: 28 },
        { ...axis, size: 52, values: values(left), incrs: incrs(left) },
        ...(right === undefined
          ? []
          : [{ ...axis, scale: 'right', side: 1 as const, size: 52, stroke: tone(right.tone), grid: { show: false }, values: values(unitOf(figures, right)), incrs: incrs(unitOf(figures, right)) }]),
      ],
      series: [
        {},
        ...figures.series.map((one) => ({
          label: one.name,
          show: !this.hidden.has(one.name),
          scale: right !== undefined && unitOf(figures, one) !== left ? 'right' : 'y',
          stroke: tone(one.tone),
          width: 1.5,
          spanGaps: false,
          points: { show: one.values.filter((value) => value !== null).length < 3, size: 5 },
        })),
      ],
      hooks: { setCursor: [(self: uPlot) => this.tell(self.cursor.idx ?? null)] },
    }
  }

  /** Each line by its name, to be shown or not; its figure beside it, as `tell` keeps it. */
  private name(figures: Figures): void {
    this.legend.replaceChildren(...figures.series.map((one, place) => this.named(one, place)))
  }

  private named(one: Series, place: number): HTMLElement {
    const button = document.createElement('button')
    const mark = document.createElement('span')
    mark.className = `chart-mark tone-${one.tone}`
    const value = document.createElement('span')
    value.className = 'chart-value'
    button.type = 'button'
    button.className = 'chart-name'
    button.append(mark, one.name, ' ', value)
    button.setAttribute('aria-pressed', String(!this.hidden.has(one.name)))
    button.addEventListener('click', () => {
      const shown = !this.hidden.delete(one.name)
      if (shown) this.hidden.add(one.name)
      button.setAttribute('aria-pressed', String(!shown))
      this.plot?.setSeries(place + 1, { show: !shown })
    })
    return button
  }

  /** The figures where the pointer is, or what each line comes to. */
  private tell(place: number | null): void {
    const { figures } = this
    if (figures === null) return
    this.part('when').textContent = place === null ? summedOf(figures) : moment(figures, figures.times[place] ?? 0)
    for (const [number, element] of this.legend.querySelectorAll('.chart-value').entries()) {
      const one = figures.series[number]
      if (one !== undefined) element.textContent = told(figures, one, place === null ? summed(figures, one) : one.values[place])
    }
  }

  /** The table, while it is looked at. */
  private fill(): void {
    if (!this.table.open || this.figures === null) return
    const rows = this.part('rows')
    const moved = rows.scrollTop
    rows.replaceChildren(asTable(this.figures))
    rows.scrollTop = moved
  }

  private part<Kind extends HTMLElement>(name: string): Kind {
    const found = this.place.querySelector<Kind>(`[data-chart-${name}]`)
    if (found === null) throw new Error(`a chart without ${name}`)
    return found
  }
}

/** A colour of tokens.css as it is now: a canvas cannot choose between the two of light-dark(). */
function colour(place: HTMLElement, name: string): string {
  const probe = document.createElement('span')
  probe.className = `tone-${name}`
  place.append(probe)
  const found = getComputedStyle(probe).color
  probe.remove()
  return found
}

setInterval(() => {
  if (!document.hidden) drawCharts(document.documentElement)
}, AGAIN)

new ResizeObserver(() => {
  for (const [place, chart] of charts) {
    if (place.isConnected) chart.fit()
    else charts.delete(place)
  }
}).observe(document.documentElement)

function again(): void {
  for (const [place, chart] of charts) if (place.isConnected) chart.draw(true)
}
document.addEventListener('theme', again)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again)
