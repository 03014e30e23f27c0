/**
 * `<div class="chart" data-chart="/charts/...">`: lines over time, read from there as
 * {"times": [unix seconds], "unit": "", "series": [{"name", "tone", "values": [number | null]}], "stacked": false}.
 */

import uPlot from 'uplot'

interface Series {
  name: string
  tone: string
  values: (number | null)[]
}

interface Figures {
  times: number[]
  unit: string
  series: Series[]
}

const HEIGHT = 190 // pixels of the lines and their axes; the legend is below
const AGAIN = 60_000 // milliseconds: figures are counted by the minute

const drawn = new Map<HTMLElement, { plot: uPlot; figures: Figures }>()

export function drawCharts(root: HTMLElement): void {
  const places = [...root.querySelectorAll<HTMLElement>('.chart[data-chart]')]
  if (root.matches('.chart[data-chart]')) places.push(root)
  for (const place of places) void load(place)
}

/** By the header the server knows that nobody asked for it: a page that is left alone keeps no session going. */
async function load(place: HTMLElement): Promise<void> {
  try {
    const answer = await fetch(place.dataset.chart ?? '', { headers: { Accept: 'application/json', 'HX-Request': 'true' } })
    if (!answer.ok) throw new Error(String(answer.status))
    const figures = (await answer.json()) as Figures
    if (figures.series.every((one) => one.values.every((value) => value === null || value === 0))) {
      say(place, place.dataset.empty ?? 'Nothing in this time.')
      return
    }
    draw(place, figures)
  } catch {
    if (drawn.has(place)) return
    say(place, 'The figures could not be read. Reload the page to try again.')
  }
}

function say(place: HTMLElement, words: string): void {
  drawn.delete(place)
  const line = document.createElement('p')
  line.className = 'chart-empty'
  line.textContent = words
  place.replaceChildren(line)
}

function draw(place: HTMLElement, figures: Figures): void {
  const style = getComputedStyle(document.documentElement)
  const tone = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  const axis = {
    stroke: tone('muted'),
    grid: { stroke: tone('line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
  }
  const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
  const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' })
  const long = (figures.times.at(-1) ?? 0) - (figures.times[0] ?? 0) > 2 * 86_400
  const times = (_self: uPlot, splits: number[]): string[] => splits.map((at) => (long ? day : clock).format(at * 1000))
  const number = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 })
  drawn.get(place)?.plot.destroy()
  place.replaceChildren()
  const plot = new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      legend: { live: true },
      scales: { y: { range: (_self, _min, max) => [0, Math.max(max * 1.1, 1)] } },
      axes: [{ ...axis, values: times, space: 64, size: 28 }, { ...axis, size: 56, values: (_self, splits) => splits.map((one) => `${number.format(one)}${figures.unit}`) }],
      series: [
        { label: 'time', value: (_self, at) => (at == null ? '—' : `${day.format(at * 1000)} ${clock.format(at * 1000)}`) },
        ...figures.series.map((one) => ({
          label: one.name,
          stroke: tone(one.tone),
          width: 1.5,
          spanGaps: false,
          points: { show: one.values.filter((value) => value !== null).length < 3, size: 5 },
          value: (_self: uPlot, value: number | null) => (value == null ? '—' : `${value.toLocaleString()}${figures.unit}`),
        })),
      ],
    },
    [figures.times, ...figures.series.map((one) => one.values)],
    place,
  )
  drawn.set(place, { plot, figures })
}

setInterval(() => {
  if (!document.hidden) drawCharts(document.documentElement)
}, AGAIN)

new ResizeObserver(() => {
  for (const [place, { plot }] of drawn) {
    if (!place.isConnected) drawn.delete(place)
    else if (place.clientWidth > 0) plot.setSize({ width: place.clientWidth, height: HEIGHT })
  }
}).observe(document.documentElement)

function again(): void {
  for (const [place, { figures }] of drawn) if (place.isConnected) draw(place, figures)
}
document.addEventListener('theme', again)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again)
