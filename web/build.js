/**
 * `npm run build`: what the console's pages load, into milonga/console/static/ (or the folder named).
 *
 *   console.HASH.js, console.HASH.css, favicon.svg
 *   LICENSES.txt       of what is inside
 *   manifest.json      {"console.js": "console.HASH.js", ...}
 *
 * The same sources give the same bytes.
 */

import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as esbuild from 'esbuild'

const HERE = dirname(fileURLToPath(import.meta.url))
const OUT = process.argv[2] ?? join(HERE, '../milonga/console/static')

async function main() {
  const { outputFiles } = await esbuild.build({
    absWorkingDir: HERE,
    bundle: true,
    charset: 'utf8',
    entryPoints: { console: 'src/console.ts' },
    format: 'iife',
    legalComments: 'none',
    logLevel: 'warning',
    minify: true,
    outdir: 'out',
    platform: 'browser',
    plugins: [themes],
    target: 'es2022',
    write: false,
  })
  await rm(OUT, { recursive: true, force: true })
  await mkdir(OUT, { recursive: true })
  const manifest = {}
  const keep = async (name, text) => {
    const [stem, end] = [name.slice(0, name.lastIndexOf('.')), name.slice(name.lastIndexOf('.'))]
    const hash = createHash('sha256').update(text).digest('hex').slice(0, 16)
    manifest[name] = `${stem}.${hash}${end}`
    await writeFile(join(OUT, manifest[name]), text)
  }
  for (const file of outputFiles) await keep(file.path.split('/').at(-1), file.text)
  await keep('favicon.svg', await readFile(join(HERE, 'src/favicon.svg'), 'utf8'))
  await writeFile(join(OUT, 'LICENSES.txt'), await licenses())
  await writeFile(join(OUT, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

/**
 * tokens.css has each colour once, as light-dark(). Browsers from before the middle of 2024 do not know that: what is
 * built says light, then dark where the system or the choice of the page is so.
 */
const COLOUR = /light-dark\(((?:[^(),]|\([^)]*\))*),\s*((?:[^(),]|\([^)]*\))*)\)/g
const themes = {
  name: 'themes',
  setup(build) {
    build.onLoad({ filter: /tokens\.css$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      const dark = (text.match(/--[\w-]+:[^;]*light-dark\([^;]*;/g) ?? []).join('\n').replace(COLOUR, '$2')
      const contents = `${text.replace(COLOUR, '$1')}
        @media (prefers-color-scheme: dark) { :root:not([data-theme='light']) { ${dark} } }
        :root[data-theme='dark'] { ${dark} }`
      return { contents, loader: 'css' }
    })
  },
}

/** The license of each package that is inside: they ask for it. */
async function licenses() {
  const { dependencies } = JSON.parse(await readFile(join(HERE, 'package.json'), 'utf8'))
  const texts = Object.keys(dependencies).map(async (name) => {
    const folder = join(HERE, 'node_modules', name)
    const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    const file = (await readdir(folder)).find((one) => /^licen[cs]e/i.test(one))
    const text = file ? (await readFile(join(folder, file), 'utf8')).trim() : `License: ${license}`
    return `${name} ${version}\n\n${text}\n`
  })
  return (await Promise.all(texts)).join(`\n${'-'.repeat(80)}\n\n`)
}

await main()
