// Segment's own Node SDK against the collector. Arguments: host, scenario. Prints the message ids it sent, in order.
const { Analytics } = require("@segment/analytics-node");

const [host, scenario] = process.argv.slice(2);
const errors = [];
const ids = [];

const hostile = () => ({
  nan: NaN,
  infinity: -Infinity,
  undefined: undefined,
  half: "a\ud83d",
  emoji: "\ud83d\ude00",
  nul: "a\u0000b",
  lines: "a\u2028b\n\t",
  big: Number.MAX_VALUE,
  small: Number.MIN_VALUE,
  nested: { list: [1, [2, [3, { deep: null }]]] },
  "": "empty key",
  __proto__x: "é",
  date: new Date(0),
});

const scenarios = {
  calls(analytics) {
    const at = { context: { groupId: "acme" } };
    analytics.identify({ userId: "u1", traits: { email: "u1@example.com" }, ...at });
    analytics.group({ userId: "u1", groupId: "acme", traits: { name: "Acme" } });
    analytics.track({ userId: "u1", event: "Paid", properties: { category: "Billing" }, ...at });
    analytics.page({ userId: "u1", name: "Home", category: "App", ...at });
    analytics.screen({ anonymousId: "a1", name: "Home" });
    analytics.alias({ userId: "u2", previousId: "u1" });
  },
  thousand(analytics) {
    for (let number = 0; number < 1000; number++) {
      analytics.track({ userId: `u${number % 7}`, event: `Event ${number}`, properties: { number } });
    }
  },
  hostile(analytics) {
    analytics.track({ userId: "u1", event: "before" });
    analytics.track({ userId: "u1", event: "hostile", properties: hostile() });
    analytics.track({ userId: "u1", event: "after" });
  },
};

const analytics = new Analytics({ writeKey: "WK_TEST_abc123", host, flushAt: 20, flushInterval: 100, maxRetries: 3 });
analytics.on("error", (error) => errors.push(String(error.reason ?? error.code ?? error)));
for (const type of ["identify", "group", "track", "page", "screen", "alias"]) {
  analytics.on(type, (context) => ids.push(context.event.messageId));
}
scenarios[scenario](analytics);
analytics.closeAndFlush({ timeout: 20000 }).then(() => {
  process.stdout.write(JSON.stringify({ ids, errors }));
  process.exit(errors.length === 0 ? 0 : 1);
});
