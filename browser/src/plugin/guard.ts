/** Whatever goes wrong in here is told on the console, and costs the page nothing. */

export function guarded<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch (error) {
    report(error)
    return undefined
  }
}

export function report(error: unknown): void {
  console.error('[milonga]', error)
}
