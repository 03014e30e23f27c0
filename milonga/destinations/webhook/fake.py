"""
A pretend receiver of webhooks: takes JSON at any path, believes only what is signed if it was given secrets, and
remembers what came. Source: docs/webhook.md, "A pretend receiver".
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any, Final

import msgspec

from milonga.destinations.listener import Call, Reply, json_reply
from milonga.destinations.pretend import KEEP, Findings, Pretend, Seen
from milonga.destinations.signing import ID, flaw_of, key_of

METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
MAX_TYPES: Final = 100  #: counted each by itself
MAX_IDS: Final = 100_000  #: remembered; the one accepted longest ago is forgotten
MAX_HEADERS: Final = 50  #: listed, of one request
MAX_VALUE: Final = 2_000  #: characters of one of them

GOOD: Final = "good"
UNCHECKED: Final = "unchecked"


class Receiver:
    """
    Counts what arrives; `params` of a request is the object that was sent.

    secrets  a request must be signed with one of them; none: all are taken. ValueError if one is no secret
    """

    usual: Reply = Reply(200, "application/json", b'{"ok":true}')
    files: Mapping[str, Reply] = {}

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        for secret in secrets:
            key_of(secret)
        self.secrets = tuple(secrets)
        self.clear()

    def params(self, call: Call) -> Mapping[str, Any] | None:
        """Of a POST, PUT or PATCH, but to paths beginning with `_`. What is no JSON object stands under `body`."""
        if call.method not in METHODS or call.path.startswith("/_"):
            return None
        try:
            value = msgspec.json.decode(call.body)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            value = call.body.decode("utf-8", "replace")
        return value if isinstance(value, dict) else {"body": value}

    def examine(self, call: Call, now: float) -> Findings:
        """Its headers, and what its signature is worth: "good", "unchecked", or what is wrong with it."""
        flaw = flaw_of(call.headers, call.body, self.secrets, now) if self.secrets else None
        verdict = UNCHECKED if not self.secrets else flaw or GOOD
        self.verdicts[verdict] += 1
        headers = {name[:100]: value[:MAX_VALUE] for name, value in islice(call.headers.items(), MAX_HEADERS)}
        return Findings(
            notes={"headers": headers, "signature": verdict},
            size=sum(len(name) + len(value) for name, value in headers.items()),
            refusal=None if flaw is None else json_reply({"error": f"This request is {flaw}."}, 401),
        )

    def keep(self, seen: Seen) -> None:
        type_ = seen.params.get("type")
        if isinstance(type_, str) and (type_ in self.types or len(self.types) < MAX_TYPES):
            self.types[type_] += 1
        id_ = seen.notes["headers"].get(ID, "")
        if not id_:
            return
        self.duplicates += id_ in self._ids
        self._ids[id_] = None
        if len(self._ids) > MAX_IDS:
            del self._ids[next(iter(self._ids))]

    def summary(self) -> dict[str, Any]:
        """
        types       accepted, by type of event
        signatures  of all requests, by what they were worth
        duplicates  accepted with a webhook-id that had been accepted before
        """
        return {"types": dict(self.types), "signatures": dict(self.verdicts), "duplicates": self.duplicates}

    def clear(self) -> None:
        self.types: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.duplicates = 0
        self._ids: dict[str, None] = {}

    def page(self) -> str:
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Pretend webhook</title>'
            f"<h1>Pretend webhook</h1><p>Events received, by type:</p>{_list(self.types)}"
            f"<p>Requests, by their signature:</p>{_list(self.verdicts)}"
            f"<p>Received twice: {self.duplicates:,}</p></html>"
        )


def _list(counts: Counter[str]) -> str:
    rows = "".join(f"<li>{escape(name)}: {count:,}</li>" for name, count in counts.most_common())
    return f"<ul>{rows}</ul>"


def PretendWebhook(  # noqa: N802 - reads as what it makes
    *, host: str = "127.0.0.1", port: int = 0, keep: int = KEEP, secrets: Sequence[str] = ()
) -> Pretend[Receiver]:
    """For `async with`; port 0 takes any free one."""
    return Pretend(Receiver(secrets), host=host, port=port, keep=keep)


pretend = PretendWebhook  #: what `milonga fake webhook` starts
