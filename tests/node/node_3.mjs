// A session of @segment/analytics-node: node_3.mjs URL WRITE_KEY ACCOUNT EVENTS. Prints what went wrong for good.
import { Analytics } from "@segment/analytics-node";
import { say } from "./say.cjs";

const [host, writeKey, account, events] = process.argv.slice(2);
const analytics = new Analytics({ host, writeKey, flushAt: 100 });
analytics.on("error", (error) => console.log(JSON.stringify(error)));
say(analytics, account, Number(events));
await analytics.closeAndFlush({ timeout: 60000 });
