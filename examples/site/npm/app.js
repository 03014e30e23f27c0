// How a site that bundles Segment's SDK itself points it at Milonga. `milonga sources snippet NAME --npm` prints this call.
import { AnalyticsBrowser } from "@segment/analytics-next";

const { writeKey, milonga } = document.currentScript.dataset;
const { host, protocol } = new URL(milonga);

window.analytics = AnalyticsBrowser.load(
  { writeKey, cdnURL: milonga },
  { integrations: { "Segment.io": { apiHost: `${host}/v1`, protocol: protocol.slice(0, -1) } } },
);
