// A page that bundles the SDK itself.
import { AnalyticsBrowser } from '@segment/analytics-next'

const { writeKey, cdnURL, options } = window.settings
window.analytics = AnalyticsBrowser.load({ writeKey, cdnURL }, options)
