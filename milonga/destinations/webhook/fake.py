"""A pretend receiver of webhooks: takes JSON at any path and remembers it."""

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any

import msgspec

from milonga.destinations.listener import Call, Reply
from milonga.destinations.pretend import KEEP, Pretend, Seen


class Receiver:
    """Counts what arrives; `params` of a request is the object that was sent."""

    usual: Reply = Reply(200, "application/json", b'{"ok":true}')
    files: Mapping[str, Reply] = {}

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()

    def params(self, call: Call) -> Mapping[str, Any] | None:
        """Every POST, but to the paths beginning with `_`. What is no JSON object stands under `body`."""
        if call.method != "POST" or call.path.startswith("/_"):
            return None
        try:
            value = msgspec.json.decode(call.body)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            value = call.body.decode("utf-8", "replace")
        return value if isinstance(value, dict) else {"body": value}

    def keep(self, seen: Seen) -> None:
        type_ = seen.params.get("type")
        if isinstance(type_, str) and (type_ in self.types or len(self.types) < 100):
            self.types[type_] += 1

    def summary(self) -> dict[str, Any]:
        return {"types": dict(self.types)}

    def clear(self) -> None:
        self.types.clear()

    def page(self) -> str:
        rows = "".join(f"<li>{escape(type_)}: {count:,}</li>" for type_, count in self.types.most_common())
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Pretend webhook</title>'
            f"<h1>Pretend webhook</h1><p>Events received, by type:</p><ul>{rows}</ul></html>"
        )


def PretendWebhook(  # noqa: N802 - reads as what it makes
    *, host: str = "127.0.0.1", port: int = 0, keep: int = KEEP
) -> Pretend[Receiver]:
    """For `async with`; port 0 takes any free one."""
    return Pretend(Receiver(), host=host, port=port, keep=keep)


pretend = PretendWebhook  #: what `milonga fake webhook` starts
