/** Light, dark, or as the system has it: a cookie, so that the server draws the page so from the start. */

export function watchTheme(): void {
  document.querySelectorAll<HTMLSelectElement>('select[data-theme-choice]').forEach((choice) => {
    choice.addEventListener('change', () => {
      document.cookie = `milonga_theme=${choice.value}; Path=/; Max-Age=31536000; SameSite=Lax`
      document.documentElement.dataset.theme = choice.value
      document.dispatchEvent(new CustomEvent('theme'))
    })
  })
}
