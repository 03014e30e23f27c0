/** Times in the viewer's zone; UTC on hover. `<time datetime="...Z">`, `data-ago` for "3 min ago". */

const DAY = 86_400_000

const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
const short = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' })
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' })

export function ago(at: number, now = Date.now()): string {
  const seconds = Math.round((at - now) / 1000)
  const size = Math.abs(seconds)
  if (size < 60) return relative.format(seconds, 'second')
  if (size < 3600) return relative.format(Math.round(seconds / 60), 'minute')
  if (size < 86_400) return relative.format(Math.round(seconds / 3600), 'hour')
  return relative.format(Math.round(seconds / 86_400), 'day')
}

function words(element: HTMLTimeElement, at: Date): string {
  if ('ago' in element.dataset) return ago(at.getTime())
  if ('full' in element.dataset) return full.format(at)
  const today = new Date().toDateString() === at.toDateString() && Date.now() - at.getTime() < DAY
  return today ? clock.format(at) : short.format(at)
}

function tell(element: HTMLTimeElement): void {
  const at = new Date(element.dateTime)
  if (Number.isNaN(at.getTime())) return
  element.title = `${at.toISOString().replace('T', ' ').replace('Z', '')} UTC`
  element.textContent = words(element, at)
}

export function tellTimes(root: ParentNode): void {
  root.querySelectorAll('time').forEach(tell)
}

setInterval(() => {
  document.querySelectorAll<HTMLTimeElement>('time[data-ago]').forEach(tell)
}, 10_000)
