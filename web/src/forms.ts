/** Small helps with forms: a question before what cannot be taken back, all or none of a table, secrets shown. */

export function watchForms(): void {
  document.addEventListener('submit', (event) => {
    const form = event.target as HTMLFormElement
    const button = (event as SubmitEvent).submitter as HTMLButtonElement | null
    const question = button?.dataset.confirm ?? form.dataset.confirm
    if (question !== undefined && !window.confirm(question)) {
      event.preventDefault()
      event.stopImmediatePropagation()
    }
  }, true)
  document.addEventListener('change', (event) => {
    const box = event.target as HTMLInputElement
    if (!box.matches('input[type=checkbox][data-all]')) return
    const names = box.dataset.all ?? ''
    document.querySelectorAll<HTMLInputElement>(`input[type=checkbox][name="${CSS.escape(names)}"]`).forEach((one) => {
      one.checked = box.checked
    })
  })
  document.addEventListener('click', (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>('button[data-reveal]')
    if (button === null) return
    const field = document.querySelector<HTMLInputElement>(button.dataset.reveal ?? '')
    if (field === null) return
    const hidden = field.type === 'password'
    field.type = hidden ? 'text' : 'password'
    button.textContent = hidden ? 'Hide' : 'Show'
    button.setAttribute('aria-pressed', String(hidden))
  })
}
