"""A session of analytics-python 1.4: session.py URL WRITE_KEY ACCOUNT EVENTS. Prints what it could not send."""

import sys

from analytics import Client  # type: ignore[import-not-found]  # of a folder of its own

url, key, account, events = sys.argv[1:]
context = {"groupId": account}
client = Client(key, host=url, on_error=lambda error, _: print(error), upload_interval=0.1)
client.identify("ada", {"name": "Ada"}, context=context)
client.group("ada", account, {"name": "Acme", "plan": "Paying"})
client.page("ada", "Docs", "Index", context=context)
client.track("ada", "Report exported", {"category": "Reports"}, context=context)
for number in range(int(events)):
    client.track("ada", f"e-{number}", {"category": "Load"}, context=context)
client.alias("ada", "ada@example.com", context=context)
client.shutdown()
