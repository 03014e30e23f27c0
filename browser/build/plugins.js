/** What esbuild must be told about analytics.js, as plugins of it. */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import * as esbuild from 'esbuild'

const OF_PACKAGE = /analytics-next\/src\/.*\.ts$/
const CHUNK = /import\(\s*\/\* webpackChunkName: "([\w-]+)" \*\/\s*'([^']+)'\s*\)/g

/** The library holds this anyway, so it would be no chunk in Segment's build, either. */
const INSIDE = 'analytics-middleware'

/**
 * The package's own modules, with its `import()`s made into chunks of ours and its default hosts replaced.
 *
 * From its TypeScript, which it holds beside what was made of it for browsers of 2009: that is 2 KB more, gzipped, and
 * slower wherever it waits for something.
 *
 * lazy  filled in: chunk's name -> module that is its entry
 */
export function analyticsJs(here, lazy) {
  const at = (path) => JSON.stringify(join(here, path))
  return {
    name: 'analytics.js',
    setup(build) {
      build.onResolve({ filter: /core\/constants$|\/constants$/ }, (args) =>
        OF_PACKAGE.test(args.importer) ? { path: join(here, 'src/api-host.ts') } : undefined,
      )
      build.onResolve({ filter: /^@segment\/analytics-next/ }, ({ path }) => {
        const module = path.replace('@segment/analytics-next', '').replace('/dist/pkg', '') || '/index.ts'
        return { path: sourceOf(join(here, 'node_modules/@segment/analytics-next/src', module)), sideEffects: false }
      })
      build.onLoad({ filter: OF_PACKAGE }, async ({ path }) => {
        let contents = await readFile(path, 'utf8')
        if (path.endsWith('/lib/parse-cdn.ts')) {
          const host = '`https://cdn.segment.com'
          if (!contents.includes(host)) throw new Error(`${path} no longer has its default host where it was`)
          contents = `import { rendered } from ${at('src/rendered.ts')};${contents.replaceAll(host, '`${rendered.cdn}')}`
        }
        const imports = new Set()
        contents = contents.replace(CHUNK, (_, name, module) => {
          if (name === INSIDE) {
            imports.add(`import * as $inside from ${JSON.stringify(module)};`)
            return 'Promise.resolve($inside)'
          }
          imports.add(`import { chunk as $chunk } from ${at('src/chunk.ts')};`)
          lazy.set(name, sourceOf(join(dirname(path), module)))
          return `$chunk(${JSON.stringify(name)})`
        })
        return { contents: [...imports].join('') + contents, loader: 'ts' }
      })
    },
  }
}

function sourceOf(module) {
  const found = [module, `${module}.ts`, join(module, 'index.ts')].find((path) => path.endsWith('.ts') && existsSync(path))
  if (!found) throw new Error(`analytics.js no longer has ${module}`)
  return found
}

/** Modules that exist only here, each a list of what `files` and the others name. Types: src/build.d.ts. */
export function madeUp({ files = {}, version = '', common = [] }) {
  const modules = {
    'milonga:files': () => `export const files = ${JSON.stringify(files)}`,
    'milonga:version': () => `export const version = ${JSON.stringify(version)}`,
    'milonga:shared': () =>
      common.map(([number, path]) => `import * as m${number} from ${JSON.stringify(path)};`).join('') +
      `export const shared = {${common.map(([number]) => `${number}: m${number}`).join()}}`,
  }
  return {
    name: 'made-up',
    setup(build) {
      build.onResolve({ filter: /^milonga:/ }, ({ path }) => ({ path, namespace: 'made-up' }))
      build.onLoad({ filter: /.*/, namespace: 'made-up' }, ({ path }) => ({ contents: modules[path](), resolveDir: '/' }))
    },
  }
}

/**
 * For a chunk: modules that the library holds are not put in once more, but taken from it, so that both have the same
 * classes and the same state. The chunk is a function of them, `milongaShared`, by number.
 *
 * held   absolute paths; a module's number is its place in it
 * entry  of the chunk
 */
export function fromLibrary(held, entry) {
  const asked = Symbol('asked')
  return {
    name: 'from-library',
    setup(build) {
      build.onResolve({ filter: /.*/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
        if (kind === 'entry-point' || pluginData === asked) return undefined
        const found = await build.resolve(path, { kind, importer, resolveDir, pluginData: asked })
        if (!held.includes(found.path) || found.path === entry) return found
        return { path: found.path, namespace: 'held', sideEffects: false }
      })
      build.onLoad({ filter: /.*/, namespace: 'held' }, async ({ path }) => {
        const names = await exportsOf(path)
        return { contents: `export const {${names.join()}} = milongaShared[${held.indexOf(path)}]` }
      })
    },
  }
}

async function exportsOf(path) {
  const built = await esbuild.build({ entryPoints: [path], format: 'esm', metafile: true, outfile: 'x.js', write: false })
  return built.metafile.outputs['x.js'].exports
}

/** Of a build: numbers of the modules that it takes from the library. */
export function takenFromLibrary(metafile, held, here) {
  return Object.values(metafile.outputs)
    .flatMap(({ inputs }) => Object.entries(inputs))
    .filter(([path, { bytesInOutput }]) => path.startsWith('held:') && bytesInOutput > 0)
    .map(([path]) => held.findIndex((one) => [one, relative(here, one)].includes(path.slice('held:'.length))))
}
