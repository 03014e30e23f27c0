/**
 * `npm run build`: the browser library, into milonga/collector/cdn/assets/ (or the folder named).
 *
 *   analytics.min.js   the library, a template: src/rendered.ts says what the server fills in
 *   chunks/*.js        what it loads when it is needed, with the hash of the content in the name
 *   milonga.js         the plugin alone
 *   snippet.js         Segment's own snippet, a template for the command line
 *   LICENSES.txt       of what is inside
 *   manifest.json      {"files": {name: {"bytes", "gzip", "sha256"}}, "analyticsNext": version}
 *
 * The same sources give the same bytes.
 */

import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import * as esbuild from 'esbuild'
import { licenses, snippetTemplate } from './beside.js'
import { analyticsJs, fromLibrary, madeUp, takenFromLibrary } from './plugins.js'

const HERE = dirname(dirname(fileURLToPath(import.meta.url)))
const OUT = process.argv[2] ?? join(HERE, '../milonga/collector/cdn/assets')
const PACKAGE = join(HERE, 'node_modules/@segment/analytics-next')
const NAME = '__MILONGA_CHUNK__'
const MORE = 1.05 // at most this many times the size of Segment's own build

const COMMON = {
  absWorkingDir: HERE,
  bundle: true,
  charset: 'ascii',
  define: { 'process.env.NODE_ENV': '"production"' },
  format: 'iife',
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  minify: true,
  platform: 'browser',
  target: 'es2017',
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
  write: false,
}

const gzipped = (bytes) => gzipSync(bytes, { level: 9 }).length
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

async function main() {
  const { version } = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8'))

  // What the library holds is known only once it is built, and which of that its chunks need once they are.
  const lazy = new Map()
  const alone = await library(lazy, {}, [])
  const held = Object.entries(alone.metafile.outputs['library.js'].inputs)
    .filter(([path, { bytesInOutput }]) => bytesInOutput > 0 && hasIdentity(path))
    .map(([path]) => join(HERE, path))
    .sort()

  const chunks = {}
  const files = {}
  const shared = new Set()
  const totango = ['totango', join(HERE, 'src/totango/totango.ts')]
  for (const [name, entry] of [...[...lazy].sort(), totango]) {
    const { text, uses } = await chunk(entry, held)
    const file = `${name}.bundle.${sha256(text).slice(0, 20)}.js`
    files[name] = file
    chunks[`chunks/${file}`] = text.replace(NAME, file)
    uses.forEach((number) => shared.add(number))
  }

  const common = [...shared].sort((a, b) => a - b).map((number) => [number, held[number]])
  const whole = await library(new Map(), files, common)
  const plugin = await esbuild.build({
    ...COMMON,
    entryPoints: ['src/milonga.ts'],
    plugins: [madeUp({ files: { totango: files.totango }, version })],
  })
  const outputs = {
    'analytics.min.js': checked(whole.outputFiles[0].text),
    'milonga.js': plugin.outputFiles[0].text,
    ...chunks,
    'snippet.js': snippetTemplate(),
    'LICENSES.txt': await licenses(HERE),
  }

  await rm(OUT, { recursive: true, force: true })
  await mkdir(join(OUT, 'chunks'), { recursive: true })
  const manifest = { files: {}, analyticsNext: version }
  for (const [name, text] of Object.entries(outputs)) {
    const bytes = Buffer.from(text)
    await writeFile(join(OUT, name), bytes)
    manifest.files[name] = { bytes: bytes.length, gzip: gzipped(bytes), sha256: sha256(bytes) }
  }
  await writeFile(join(OUT, 'manifest.json'), JSON.stringify(manifest, null, 2) + '\n')
  await tellSizes(manifest, version)

  function library(lazy, files, common) {
    return esbuild.build({
      ...COMMON,
      entryPoints: ['src/library.ts'],
      outfile: 'library.js',
      plugins: [analyticsJs(HERE, lazy), madeUp({ files, version, common })],
    })
  }
}

/** Modules with a class that is asked for by `instanceof`, or with a state. Of all others a chunk may have its own. */
const hasIdentity = (path) => /@segment\/analytics-(next\/src|core\/dist\/esm)\//.test(path)

/** A chunk's script, and which of the modules that the library holds it uses. */
async function chunk(entry, held) {
  const built = await esbuild.build({
    ...COMMON,
    entryPoints: [entry],
    outfile: 'chunk.js',
    globalName: 'chunk',
    plugins: [fromLibrary(held, entry), analyticsJs(HERE, new Map()), madeUp({})],
  })
  const body = built.outputFiles[0].text.trimEnd()
  const start = `(window.milongaChunks=window.milongaChunks||{})["${NAME}"]=function(milongaShared){`
  return { text: `${start}${body}return chunk};\n`, uses: takenFromLibrary(built.metafile, held, HERE) }
}

/** The library, if nothing in it speaks to another host and each place to fill in stands once. */
function checked(text) {
  const foreign = text.match(/[\w.]*\b(segment\.(io|com|build)|segmentapis|cloudflare)\b/g) ?? []
  const named = foreign.filter((host) => host !== 'Segment.io') // which is the name of a destination
  if (named.length) throw new Error(`the library names other hosts: ${named.join(', ')}`)
  for (const place of ["'__WRITE_KEY__'", "'__MILONGA_SETTINGS__'", "'__MILONGA_CDN__'"]) {
    const count = text.split(place.slice(1, -1)).length - 1
    const quoted = text.split(place.replaceAll("'", '"')).length - 1
    if (count !== 1 || quoted !== 1) throw new Error(`${place} stands ${count} times, ${quoted} of them as a literal`)
  }
  return text
}

async function tellSizes(manifest, version) {
  const stock = gzipped(await readFile(join(PACKAGE, 'dist/umd/standalone.js')))
  const ours = manifest.files['analytics.min.js'].gzip
  const percent = ((ours / stock - 1) * 100).toFixed(1)
  console.log(`analytics.min.js  ${ours} bytes gzipped; Segment's standalone.js ${version}: ${stock} (${percent} %)`)
  console.log(`milonga.js        ${manifest.files['milonga.js'].gzip} bytes gzipped`)
  if (ours > stock * MORE) throw new Error('analytics.min.js is more than 5 % larger than Segment’s own build')
}

await main()
