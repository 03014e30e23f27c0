/** Stands in for analytics.js's own module of this constant: where it sends if settings name no host. */

import { rendered } from './rendered'

export const SEGMENT_API_HOST = `${rendered.cdn.replace(/^https?:\/\//, '')}/v1`
