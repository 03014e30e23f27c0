// A site that bundles @segment/analytics-next from npm, at the version that package.json pins.
// It does not name the account in its calls: the plugin that Milonga serves remembers it.
import { AnalyticsBrowser } from "@segment/analytics-next";
import { say, url, writeKey } from "./say.js";

say(AnalyticsBrowser.load({ writeKey, cdnURL: url }));
