// A session of Segment's React Native SDK: session.js URL WRITE_KEY ACCOUNT EVENTS. It flushes once a second, as it does
// by itself on a phone every 30, until its standard input ends.
import { createClient, Plugin, PluginType } from "@segment/analytics-react-native";

const [url, writeKey, account, events] = process.argv.slice(2);

class Account extends Plugin {
  type = PluginType.enrichment;

  execute(event) {
    return { ...event, context: { ...event.context, groupId: account } };
  }
}

const kept = new Map();
const analytics = createClient({
  writeKey,
  proxy: `${url}/v1`,
  cdnProxy: `${url}/v1`,
  useSegmentEndpoints: true,
  flushAt: 100,
  flushInterval: 1,
  debug: false,
  storePersistor: { get: async (key) => kept.get(key), set: async (key, state) => void kept.set(key, state) },
});
analytics.add({ plugin: new Account() });
await analytics.identify("ada", { name: "Ada" });
await analytics.group(account, { name: "Acme", plan: "Paying" });
await analytics.screen("Index");
await analytics.track("Report exported", { category: "Reports" });
for (let number = 0; number < Number(events); number++) {
  await analytics.track(`e-${number}`, { category: "Load" });
}
await analytics.alias("ada@example.com");
process.stdin.resume().on("end", () => process.exit(0));
