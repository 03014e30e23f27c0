// analytics.js 1.x, put together as the hosted build did: the core, and the integration that sends.
import analytics from "@segment/analytics.js-core";
import Segment from "@segment/analytics.js-integration-segmentio";
import { account, say, url, writeKey } from "./say.js";

analytics.use(Segment);
analytics.initialize({ "Segment.io": { apiKey: writeKey, apiHost: `${new URL(url).host}/v1` } });
say(analytics, { context: { groupId: account } });
