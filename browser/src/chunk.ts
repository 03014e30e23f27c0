/** What build.js puts in place of the `import()`s of analytics.js. */

import { getCDN } from '@segment/analytics-next/dist/pkg/lib/parse-cdn'
import { files } from 'milonga:files'
import { shared } from 'milonga:shared'
import { loadChunk } from './chunks'

export const bundles = () => `${getCDN()}/analytics-next/bundles/`

export function chunk(name: string): Promise<unknown> {
  return loadChunk(bundles(), files[name] ?? name, shared)
}
