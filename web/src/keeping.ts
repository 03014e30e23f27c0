/**
 * What a page renews by itself takes nothing out of anybody's hands: the focus, details that are open, and how far a
 * wide table was moved stay as they were.
 */

interface Kept {
  target: Element
  focus: string
  open: Set<string>
  moved: Map<string, number>
}

const ABOUT = ['id', 'href', 'name', 'value', 'formaction', 'aria-label', 'data-copy']
const REACHABLE = 'a[href], button, input, select, textarea, summary, [tabindex]'

let kept: Kept | null = null

export function keepWhatIsUsed(): void {
  document.addEventListener('htmx:beforeSwap', (event) => {
    const { target } = (event as CustomEvent<{ target: Element }>).detail
    kept = {
      target,
      focus: nameOf(target, REACHABLE, document.activeElement),
      open: new Set(named(target, 'details[open]').keys()),
      moved: new Map([...named(target, '.table')].map(([name, one]) => [name, one.scrollLeft])),
    }
  })
  document.addEventListener('htmx:afterSettle', () => {
    if (kept === null) return
    const { target, focus, open, moved } = kept
    const now = target.isConnected ? target : document.getElementById(target.id)
    kept = null
    if (now === null) return
    for (const [name, one] of named(now, 'details')) if (open.has(name)) (one as HTMLDetailsElement).open = true
    for (const [name, one] of named(now, '.table')) one.scrollLeft = moved.get(name) ?? 0
    if (focus === '' || (document.activeElement ?? document.body) !== document.body) return // or it is elsewhere by now
    ;(named(now, REACHABLE).get(focus) as HTMLElement | undefined)?.focus({ preventScroll: true })
  })
}

function nameOf(root: Element, which: string, wanted: Element | null): string {
  for (const [name, one] of named(root, which)) if (one === wanted) return name
  return ''
}

/** Each by what it is, not by its place: rows come and go. The same twice are numbered. */
function named(root: Element, which: string): Map<string, Element> {
  const found = new Map<string, Element>()
  for (const one of root.querySelectorAll(which)) {
    const words = one.matches('details') ? one.querySelector('summary')?.textContent : one.matches('summary, button') ? one.textContent : ''
    const form = one.closest('form')?.getAttribute('action')
    const about = [one.tagName, words, form, ...ABOUT.map((name) => one.getAttribute(name))].join('\n')
    let name = about
    for (let number = 2; found.has(name); number += 1) name = `${about}\n${number.toString()}`
    found.set(name, one)
  }
  return found
}
