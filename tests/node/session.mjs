// A session of Segment's own Node SDK: node session.mjs HOST WRITE_KEY EVENTS. Prints what the SDK says went wrong.
import { Analytics } from "@segment/analytics-node";

const [host, writeKey, events] = process.argv.slice(2);
const analytics = new Analytics({ host, writeKey, flushAt: 50 });
analytics.on("error", (error) => console.log(JSON.stringify(error)));

const context = { groupId: "acme" };
analytics.identify({ userId: "ada", traits: { name: "Ada", age: 36, nothing: null, when: new Date(0) }, context });
analytics.group({ userId: "ada", groupId: "acme", traits: { name: "Acme", plan: "Paying", createdAt: new Date(0) } });
analytics.page({ userId: "ada", category: "Docs", name: "Index", context });
for (let number = 0; number < Number(events); number++) {
  analytics.track({
    userId: `user-${number % 7}`,
    event: `e-${number}`,
    properties: { category: "Load", nan: NaN, infinite: Infinity, text: "\u0000 \ud83d\ude00 \ud800" },
    context,
  });
}
await analytics.closeAndFlush({ timeout: 30000 });
