/**
 * The rows of a live view by keyboard: one stop for the Tab key, arrows from row to row, Enter to read one, Escape to
 * come back to it. Rows come and go meanwhile; the one that somebody is at stays.
 */

const REACHED = 'a.choose, summary' // what of a row is focused: an event's link, or the reason of a discarded one
const STEPS: Record<string, (at: number, last: number) => number> = {
  ArrowDown: (at, last) => Math.min(at + 1, last),
  ArrowUp: (at) => Math.max(at - 1, 0),
  Home: () => 0,
  End: (_, last) => last,
}

export class RowKeys {
  private at: HTMLElement | null = null

  constructor(
    private readonly rows: HTMLElement,
    private readonly read: (row: HTMLElement) => void,
  ) {
    rows.addEventListener('keydown', (event) => this.key(event))
    rows.addEventListener('focusin', (event) => {
      const reached = (event.target as Element).closest<HTMLElement>(REACHED)
      if (reached !== null) this.stop(reached)
    })
    new MutationObserver(() => this.oneStop()).observe(rows, { childList: true })
    this.oneStop()
  }

  /** This row is read. */
  choose(row: HTMLElement): void {
    this.rows.querySelectorAll('tr[aria-current]').forEach((one) => one.removeAttribute('aria-current'))
    row.setAttribute('aria-current', 'true')
    const reached = row.querySelector<HTMLElement>(REACHED)
    if (reached !== null) this.stop(reached)
  }

  /** To the row that was read last, or the newest. */
  back(): void {
    const row = this.rows.querySelector('tr[aria-current]') ?? this.rows
    row.querySelector<HTMLElement>(REACHED)?.focus()
  }

  /** The oldest rows go, but for the one that somebody is at. */
  trim(most: number): void {
    for (let row = this.rows.lastElementChild; row !== null && this.rows.childElementCount > most; ) {
      const before = row.previousElementSibling
      if (!row.contains(document.activeElement)) row.remove()
      row = before
    }
  }

  private key(event: KeyboardEvent): void {
    const step = STEPS[event.key]
    const reached = (event.target as Element).closest<HTMLElement>(REACHED)
    if (reached === null || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return
    if (step !== undefined) {
      const all = this.all()
      event.preventDefault()
      all[step(all.indexOf(reached), all.length - 1)]?.focus()
    } else if (event.key === 'Enter') {
      const row = reached.closest<HTMLElement>('tr[data-place]')
      if (row === null) return
      event.preventDefault()
      this.read(row)
    }
  }

  private all(): HTMLElement[] {
    return [...this.rows.querySelectorAll<HTMLElement>(REACHED)]
  }

  private stop(reached: HTMLElement): void {
    this.at = reached
    this.oneStop()
  }

  /** The row that somebody is or was at; the newest until then. */
  private oneStop(): void {
    const all = this.all()
    const at = this.at !== null && all.includes(this.at) ? this.at : all[0]
    for (const one of all) one.tabIndex = one === at ? 0 : -1
  }
}
