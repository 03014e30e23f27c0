// The session that tests/sdks/session.py expects, for SDKs whose calls take one object.
exports.say = (analytics, account, events) => {
  const context = { groupId: account };
  const track = (event, category) => analytics.track({ userId: "ada", event, properties: { category }, context });
  analytics.identify({ userId: "ada", traits: { name: "Ada" }, context });
  analytics.group({ userId: "ada", groupId: account, traits: { name: "Acme", plan: "Paying" } });
  analytics.page({ userId: "ada", category: "Docs", name: "Index", context });
  track("Report exported", "Reports");
  for (let number = 0; number < events; number++) {
    track(`e-${number}`, "Load");
  }
  analytics.alias({ userId: "ada@example.com", previousId: "ada" });
};
