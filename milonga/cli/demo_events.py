"""
What `milonga demo` sends: the published example session, through Segment's own Python SDK. It is a process of its own,
`python -m milonga.cli.demo_events URL WRITE_KEY`, because the SDK waits for minutes for a server that is gone, and a
process can be ended. It ends with its parent: that holds the other end of its standard input.
"""

import os
import sys
import threading

USER = "29ej29d"
ACCOUNT = "sjsj2hdj2"
LAST = "Completed Purchase"  #: what the user does last


def send(host: str, key: str) -> bool:
    """The account is on every call, as server-side calls need it. False if the SDK could not get rid of them."""
    import segment.analytics as segment

    failed: list[object] = []
    client = segment.Client(key, host=host, timeout=5, max_retries=2, on_error=lambda error, _: failed.append(error))
    context = {"groupId": ACCOUNT}
    client.identify(USER, {"name": "Peter Gibbons", "email": "peter@initech.example"}, context=context)
    client.group(USER, ACCOUNT, {"name": "Initech", "plan": "Paying", "website": "https://initech.example"})
    client.page(USER, "Blog", "15,000 Ways to Increase Conversion", context=context)
    client.track(USER, LAST, {"category": "Conversion", "revenue": 42.99}, context=context)
    client.flush()
    for error in failed:
        print(f"Segment's SDK says: {error}", file=sys.stderr)  # noqa: T201 - a script
    return not failed


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os._exit(0 if send(*sys.argv[1:3]) else 1)
