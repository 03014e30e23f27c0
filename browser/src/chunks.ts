/** Parts of the library that most pages never need, as scripts of their own: `/analytics-next/bundles/*`. */

declare global {
  interface Window {
    /** By file name: makes a part's exports out of the modules it shares with the library. */
    milongaChunks?: Record<string, (shared: unknown) => unknown>
  }
}

/**
 * Rejects if the script cannot be had.
 *
 * By a script element, not `import()`: as in Segment's build, it needs no CORS of the server.
 */
export function loadScript(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script')
    script.async = true
    script.src = url
    script.onload = () => resolve()
    script.onerror = () => reject(new Error(`Failed to load ${url}`))
    document.head.appendChild(script)
  })
}

/**
 * bundles  address of the folder, with a slash
 * shared   modules that the part must have in common with who loads it, by number
 */
export async function loadChunk(bundles: string, file: string, shared?: unknown): Promise<unknown> {
  const made = () => window.milongaChunks?.[file]
  if (!made()) await loadScript(bundles + file)
  const make = made()
  if (!make) throw new Error(`${file} holds no part of Milonga's library`)
  return make(shared)
}
