/** `<button data-copy="#id">` copies the text of that element, or its value. */

export function watchCopying(): void {
  document.addEventListener('click', (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>('button[data-copy]')
    if (button === null) return
    const from = document.querySelector(button.dataset.copy ?? '')
    if (from === null) return
    const text = from instanceof HTMLInputElement || from instanceof HTMLTextAreaElement ? from.value : (from.textContent ?? '')
    void put(text.trim()).then((done) => {
      const before = button.dataset.label ?? button.textContent ?? ''
      button.dataset.label = before
      button.textContent = done ? 'Copied' : 'Select and copy it'
      setTimeout(() => {
        button.textContent = before
      }, 2000)
    })
  })
}

/** The clipboard needs a secure context; without one, such as plain http in a network, a selection does it. */
async function put(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const area = document.createElement('textarea')
    area.value = text
    area.className = 'hidden-copy'
    document.body.append(area)
    area.select()
    const done = document.execCommand('copy')
    area.remove()
    return done
  }
}
