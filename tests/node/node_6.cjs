// A session of the older analytics-node: node_6.cjs URL WRITE_KEY ACCOUNT EVENTS. Prints what went wrong for good.
const Analytics = require("analytics-node");
const { say } = require("./say.cjs");

const [host, writeKey, account, events] = process.argv.slice(2);
const errorHandler = (error) => console.log(String(error));
const analytics = new Analytics(writeKey, { host, flushAt: 100, errorHandler });
say(analytics, account, Number(events));
analytics.flush();
