/**
 * `<div data-live="/sources/web/stream" data-after="17">`: rows that come by server-sent events, newest first. What is
 * within says what each part is: data-live-state, -words, -rows, -none, -pause, -clear, -said.
 *
 * By keyboard the rows are one stop (live-keys.ts). What is said aloud is said rarely: which event was chosen, and how
 * many came since that was said last.
 *
 * Times are milliseconds.
 */

import htmx from 'htmx.org'

import { RowKeys } from './live-keys'
import { tellTimes } from './time'

type State = 'connecting' | 'waiting' | 'live' | 'paused' | 'shedding' | 'lost' | 'over'

const TONES: Record<State, string> = {
  connecting: '',
  waiting: 'accent',
  live: 'good',
  paused: 'warn',
  shedding: 'warn',
  lost: 'bad',
  over: 'bad',
}
const MOST = 500 // rows that stay
const SILENCE = 40_000 // without a sign of life; the server gives one every 15 s
const AGAIN = 3_000 // until the next try, where the browser itself does not try
const CALM = 3_000 // without shedding, until it is over
const SAY_AGAIN = 15_000 // how often it is said that events came
const UNSEEN = 20_000 // in a tab that nobody looks at; a browser has few connections for all its tabs

interface Missed {
  shed: number
  passed: number
  trouble: string
}

export function watchLive(root: HTMLElement): void {
  root.querySelectorAll<HTMLElement>('[data-live]').forEach((place) => new Live(place).begin())
}

class Live {
  private readonly rows: HTMLElement
  private readonly keys: RowKeys
  private readonly pauseButton: HTMLButtonElement
  private source: EventSource | null = null
  private state: State = 'connecting'
  private after: string
  private came = 0
  private unsaid = 0
  private missed = 0
  private watchdog = 0
  private calming = 0
  private again = 0
  private sleeping = 0

  constructor(private readonly place: HTMLElement) {
    this.rows = this.part('rows')
    this.keys = new RowKeys(this.rows, (row) => void this.open(row, true))
    this.pauseButton = this.part<HTMLButtonElement>('pause')
    this.after = place.dataset.after ?? ''
  }

  begin(): void {
    const clear = this.part('clear')
    this.pauseButton.hidden = clear.hidden = false
    this.pauseButton.addEventListener('click', () => (this.state === 'paused' ? this.connect() : this.pause()))
    clear.addEventListener('click', () => {
      this.rows.replaceChildren()
      this.came = this.missed = this.unsaid = 0
      this.say(this.state)
    })
    setInterval(() => this.sayWhatCame(), SAY_AGAIN)
    this.place.addEventListener('click', (event) => {
      if ((event.target as Element).closest('[data-live-back]') !== null) this.keys.back()
    })
    this.place.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && document.getElementById('chosen')?.contains(document.activeElement) === true) this.keys.back()
    })
    this.place.addEventListener('click', (event) => this.choose(event))
    window.addEventListener('pagehide', () => this.close())
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) this.wake()
    })
    document.addEventListener('visibilitychange', () => {
      clearTimeout(this.sleeping)
      if (document.hidden) this.sleeping = setTimeout(() => this.close(), UNSEEN)
      else this.wake()
    })
    this.connect()
  }

  private connect(): void {
    this.close()
    this.say(this.state === 'lost' ? 'lost' : 'connecting')
    const to = new URL(this.place.dataset.live ?? '', location.href)
    to.searchParams.set('after', this.after)
    const source = (this.source = new EventSource(to))
    source.addEventListener('open', () => this.alive('waiting'))
    source.addEventListener('beat', (event) => {
      this.note(event)
      this.alive(this.came > 0 ? 'live' : 'waiting')
    })
    source.addEventListener('row', (event) => {
      this.show((event as MessageEvent<string>).data)
      this.alive('live')
    })
    source.addEventListener('missed', (event) => {
      this.note(event)
      this.miss(JSON.parse((event as MessageEvent<string>).data) as Missed)
    })
    source.addEventListener('gone', () => this.over('This source is gone. Go back to the list of sources.'))
    source.addEventListener('crowded', () => this.over('Too many people watch at once. Reload the page later.'))
    source.addEventListener('error', () => {
      this.say('lost')
      if (source.readyState === EventSource.CLOSED) this.later()
    })
  }

  /** What came meanwhile is fetched, as after a lost connection. */
  private wake(): void {
    if (this.source === null && this.state !== 'paused' && this.state !== 'over') this.connect()
  }

  private close(): void {
    this.source?.close()
    this.source = null
    clearTimeout(this.watchdog)
    clearTimeout(this.again)
  }

  /** The browser gives up where it was answered with an error, such as when the session has ended. */
  private later(): void {
    clearTimeout(this.again)
    this.again = setTimeout(() => this.connect(), AGAIN)
  }

  private pause(): void {
    this.close()
    this.say('paused')
  }

  private over(words: string): void {
    this.close()
    this.say('over', words)
  }

  /** Where the log was looked through up to: there the next connection goes on. */
  private note(event: Event): void {
    const id = (event as MessageEvent<string>).lastEventId
    if (id !== '') this.after = id.slice(id.lastIndexOf('-') + 1)
  }

  private alive(state: State): void {
    clearTimeout(this.watchdog)
    this.watchdog = setTimeout(() => {
      this.say('lost')
      this.connect()
    }, SILENCE)
    if (this.state !== 'shedding') this.say(state)
  }

  private miss({ shed, passed, trouble }: Missed): void {
    this.missed += shed + passed
    if (trouble !== '') {
      this.say('lost', `The log cannot be read: ${trouble}. It is tried again.`)
    } else if (shed + passed > 0) {
      this.say('shedding')
      clearTimeout(this.calming)
      this.calming = setTimeout(() => {
        if (this.state === 'shedding') this.say('live')
      }, CALM)
    } else if (this.state !== 'shedding') {
      this.alive(this.came > 0 ? 'live' : 'waiting')
    }
  }

  /** Made by our own template on the server, which escapes what the event holds. */
  private show(html: string): void {
    const frame = document.createElement('template')
    frame.innerHTML = html
    const row = frame.content.querySelector('tr')
    if (row === null) return
    const known = row.dataset.place
    if (known !== undefined && this.rows.querySelector(`tr[data-place="${CSS.escape(known)}"]`) !== null) return
    tellTimes(row)
    this.rows.prepend(row)
    this.came += 1
    this.unsaid += 1
    this.part('none').hidden = true
    this.keys.trim(MOST)
  }

  private choose(event: Event): void {
    const mouse = event as MouseEvent
    const target = event.target as Element
    const row = target.closest<HTMLElement>('tr[data-place]')
    if (row === null || mouse.ctrlKey || mouse.metaKey || mouse.shiftKey || String(getSelection()) !== '') return
    event.preventDefault()
    void this.open(row, mouse.detail === 0) // a click that no pointer made: Enter on a link
  }

  /** Beside the rows. read: the focus goes there, to come back by Escape */
  private async open(row: HTMLElement, read: boolean): Promise<void> {
    this.keys.choose(row)
    const base = (this.place.dataset.live ?? '').split('/stream')[0]
    await htmx.ajax('get', `${base}/live/${row.dataset.place ?? ''}`, { target: '#chosen', swap: 'innerHTML' })
    const one = document.getElementById('chosen')
    const head = one?.querySelector<HTMLElement>('h2')
    if (read) head?.focus()
    else this.aloud(`${head?.textContent ?? ''} is shown.`)
    if (one !== null && one.getBoundingClientRect().top > window.innerHeight) one.scrollIntoView({ block: 'start' })
  }

  private sayWhatCame(): void {
    if (this.unsaid > 0) this.aloud(`${this.unsaid.toLocaleString()} new ${this.unsaid === 1 ? 'event' : 'events'}.`)
    this.unsaid = 0
  }

  private aloud(words: string): void {
    this.part('said').textContent = words
  }

  private say(state: State, words = ''): void {
    this.state = state
    const badge = this.part('state')
    const named = state === 'lost' ? 'connection lost' : state
    if (badge.textContent !== named) badge.textContent = named
    badge.className = `badge ${TONES[state]}`
    this.part('words').textContent = words !== '' ? words : this.words(state)
    this.pauseButton.textContent = state === 'paused' ? 'Resume' : 'Pause'
  }

  private words(state: State): string {
    const beyond = this.missed > 0 ? ` ${this.missed.toLocaleString()} more were not shown.` : ''
    const came = `${this.came.toLocaleString()} since this page was opened.${beyond}`
    switch (state) {
      case 'connecting':
        return 'Connecting…'
      case 'waiting':
        return 'Waiting for the next event…'
      case 'live':
        return came
      case 'paused':
        return `Nothing moves until you resume; then the newest of what came meanwhile are shown.${beyond}`
      case 'shedding':
        return `They come faster than anybody could read: some 20 a second are shown.${beyond}`
      case 'lost':
        return 'Trying again by itself. If you were signed out, reload the page.'
      case 'over':
        return ''
    }
  }

  private part<Kind extends HTMLElement>(name: string): Kind {
    const found = this.place.querySelector<Kind>(`[data-live-${name}]`)
    if (found === null) throw new Error(`a live view without ${name}`)
    return found
  }
}
