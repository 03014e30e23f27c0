/** What lies beside the library: the snippet that loads it, and the licenses of what is inside. */

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import snippet from '@segment/snippet'

/** Segment's own, for the command line to fill in a write key and a host. */
export const snippetTemplate = () => `${snippet.min({ apiKey: '__WRITE_KEY__', host: '__MILONGA_HOST__' })}\n`

/** The license of each package that may be in the library, its chunks or the snippet: these licenses ask for it. */
export async function licenses(folder) {
  const { packages } = JSON.parse(await readFile(join(folder, 'package-lock.json'), 'utf8'))
  const wanted = new Set()
  const add = (name, from) => {
    const place = [`${from}/node_modules/${name}`, `node_modules/${name}`].find((path) => path in packages)
    if (place === undefined || wanted.has(place)) return
    wanted.add(place)
    Object.keys(packages[place].dependencies ?? {}).forEach((one) => add(one, place))
  }
  add('@segment/analytics-next', '')
  add('@segment/snippet', '')
  const texts = [...wanted].sort().map(async (place) => {
    const { version, license } = packages[place]
    const files = await readdir(join(folder, place))
    const file = files.find((one) => /^licen[cs]e/i.test(one))
    const text = file ? (await readFile(join(folder, place, file), 'utf8')).trim() : `License: ${license}`
    return `${place.replace(/.*node_modules\//, '')} ${version}\n\n${text}\n`
  })
  return (await Promise.all(texts)).join(`\n${'-'.repeat(80)}\n\n`)
}
