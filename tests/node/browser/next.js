// A site that bundles @segment/analytics-next from npm, at the version that package.json pins.
import { AnalyticsBrowser } from "@segment/analytics-next";
import { say, url, writeKey } from "./say.js";

say(AnalyticsBrowser.load({ writeKey, cdnURL: url }));
