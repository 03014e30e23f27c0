// The session that tests/sdks/session.py expects, as a page says it; for which account stands in the page's address.
const asked = new URLSearchParams(location.search);
export const [url, writeKey, account] = ["url", "key", "account"].map((name) => asked.get(name));

export function say(analytics, options) {
  analytics.identify("ada", { name: "Ada" }, options);
  analytics.group(account, { name: "Acme", plan: "Paying" });
  analytics.page("Docs", "Index", {}, options);
  analytics.track("Report exported", { category: "Reports" }, options);
  for (let number = 0; number < Number(asked.get("events")); number++) {
    analytics.track(`e-${number}`, { category: "Load" }, options);
  }
  analytics.alias("ada@example.com", "ada", options);
}
