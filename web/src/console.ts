/** Everything that the console's pages do in the browser. Pages work without it, but for what is live. */

import './css/console.css'
import 'uplot/dist/uPlot.min.css'

import htmx from 'htmx.org'
import 'htmx-ext-sse'

import { watchAnswers } from './answers'
import { drawCharts } from './charts'
import { watchCopying } from './copy'
import { watchForms } from './forms'
import { keepWhatIsUsed } from './keeping'
import { watchLive } from './live'
import { nameCells } from './tables'
import { watchTheme } from './theme'
import { tellTimes } from './time'

// The policy of the pages forbids eval and styles within the page.
htmx.config.allowEval = false
htmx.config.includeIndicatorStyles = false
htmx.config.allowScriptTags = false
htmx.config.selfRequestsOnly = true
htmx.config.historyCacheSize = 0 // what a page shows must not stay in the browser's storage
htmx.config.scrollBehavior = 'auto'
// A form that was refused comes back with what was typed, and what is wrong with it.
htmx.config.responseHandling = [
  { code: '204', swap: false },
  { code: '[23]..', swap: true },
  { code: '(403|404|409|413|422|429)', swap: true },
  { code: '[45]..', swap: false, error: true },
]

const csrf = document.querySelector<HTMLMetaElement>('meta[name="csrf"]')?.content ?? ''

document.addEventListener('htmx:configRequest', (event) => {
  const { headers } = (event as CustomEvent<{ headers: Record<string, string> }>).detail
  headers['X-CSRF-Token'] = csrf
})

for (const failure of ['htmx:responseError', 'htmx:sendError', 'htmx:timeout']) {
  document.addEventListener(failure, () => {
    const place = document.getElementById('trouble')
    if (place !== null) place.hidden = false
  })
}
document.addEventListener('htmx:afterOnLoad', () => {
  const place = document.getElementById('trouble')
  if (place !== null) place.hidden = true
})

htmx.onLoad((element) => {
  const root = element as HTMLElement
  tellTimes(root)
  drawCharts(root)
})
nameCells(document.body)
document.addEventListener('htmx:afterSwap', (event) => {
  nameCells((event as CustomEvent<{ elt: Element }>).detail.elt)
})
watchCopying()
watchForms()
watchAnswers()
keepWhatIsUsed()
watchLive(document.body)
watchTheme()
