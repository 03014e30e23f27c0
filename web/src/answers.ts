/**
 * A form whose answer stands elsewhere on the page (`data-answer="#heading"`): once a person has sent it, the heading of
 * the answer has the focus and is in view. What follows by itself while one types moves nothing.
 */

export function watchAnswers(): void {
  let asked: string | undefined
  document.addEventListener('submit', (event) => {
    asked = (event.target as HTMLFormElement).dataset.answer
  })
  for (const over of ['input', 'htmx:responseError', 'htmx:sendError', 'htmx:timeout']) {
    document.addEventListener(over, () => { asked = undefined })
  }
  document.addEventListener('htmx:afterSettle', (event) => {
    if (asked === undefined) return
    const heading = document.querySelector<HTMLElement>(asked)
    if (heading === null || !(event as CustomEvent<{ elt: Element }>).detail.elt.contains(heading)) return
    asked = undefined
    heading.focus({ preventScroll: true })
    const { top } = heading.getBoundingClientRect()
    if (top < 0 || top > window.innerHeight / 2) heading.scrollIntoView({ block: 'start' })
  })
}
