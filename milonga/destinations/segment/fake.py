"""
A pretend Segment: takes its tracking API at any base path, answers as the real one does, and counts what it would hold.
Source: docs/segment.md, "A pretend receiver".
"""

from base64 import b64decode
from binascii import Error as NotBase64
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import msgspec

from milonga.destinations.listener import Call, Reply, json_reply
from milonga.destinations.pretend import KEEP, Findings, Pretend, Seen
from milonga.destinations.segment.wire import MAX_EVENT

BATCHES: Final = frozenset({"batch", "b", "import"})
SINGLE: Final = {
    name: type_ for type_ in ("identify", "group", "track", "page", "screen", "alias") for name in (type_, type_[0])
}
"""Last part of a path -> type of the one event. Source: Segment docs, HTTP API; docs/tracking-api.md."""

MAX_BODY: Final = 512_000  #: bytes; beyond them the real one answers 400
SHORTEST_KEY: Final = 10  #: characters; a user of the real one saw 400 for shorter ones
MAX_IDS: Final = 100_000  #: of messages, remembered; the one taken longest ago is forgotten
MAX_NAMES: Final = 100  #: types, each counted by itself

_USUAL: Final = b'{"success":true}'


class Receiver:
    """
    `params` of a request are the batch, or the event itself.

    keys  of its sources; none: every key is one. Events with another are thrown away, which the answer does not say:
          so does the real one
    """

    usual: Reply = Reply(200, "application/json", _USUAL)
    files: Mapping[str, Reply] = {}

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self.keys = frozenset(keys)
        self.clear()

    def params(self, call: Call) -> Mapping[str, Any] | None:
        """Of a POST to a path that ends as the tracking API's do."""
        if call.method != "POST" or call.path.startswith("/_"):
            return None
        name = call.path.rstrip("/").rpartition("/")[2]
        if name not in BATCHES and name not in SINGLE:
            return None
        value = _object(call.body)
        if value is None:
            return {"unreadable": call.body.decode("utf-8", "replace")[:1_000]}
        return value if name in BATCHES else {"type": SINGLE[name], **value}

    def examine(self, call: Call, now: float) -> Findings:
        value = _object(call.body)
        key = _key_of(call.headers.get("authorization", "")) or str((value or {}).get("writeKey") or "")
        if len(call.body) > MAX_BODY:
            refusal = _refused("request_too_large", f"More than {MAX_BODY:,} bytes")
        elif value is None:
            refusal = _refused("invalid_json", "The body is no JSON object")
        elif len(key) < SHORTEST_KEY:
            refusal = _refused("invalid_write_key", "The write key is missing or too short")
        else:
            refusal = None
        known = refusal is None and (not self.keys or key in self.keys)
        verdict = "refused" if refusal is not None else "known" if known else "unknown"
        self.requests[verdict] += 1
        return Findings(notes={"writeKey": verdict}, refusal=refusal)

    def keep(self, seen: Seen) -> None:
        if seen.notes["writeKey"] != "known":
            return
        batch = seen.params.get("batch")
        for event in batch if isinstance(batch, list) else [seen.params]:
            self._keep(event)

    def _keep(self, event: Any) -> None:
        if not isinstance(event, dict) or len(msgspec.json.encode(event)) > MAX_EVENT:
            self.discarded += 1
            return
        id_ = event.get("messageId")
        if isinstance(id_, str) and id_:
            if id_ in self._ids:
                self.duplicates += 1
                return
            self._ids[id_] = None
            if len(self._ids) > MAX_IDS:
                del self._ids[next(iter(self._ids))]
        type_ = str(event.get("type"))[:50]
        if type_ in self.types or len(self.types) < MAX_NAMES:
            self.types[type_] += 1

    def summary(self) -> dict[str, Any]:
        """
        types       of events it holds; what came twice counts once
        duplicates  events with a messageId that it has
        discarded   events that are none, or too large; the answer does not say so
        writeKeys   requests, by what their key is worth: "known", "unknown" (thrown away), "refused" (400)
        """
        return {
            "types": dict(self.types),
            "duplicates": self.duplicates,
            "discarded": self.discarded,
            "writeKeys": dict(self.requests),
        }

    def clear(self) -> None:
        self.types: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self._ids: dict[str, None] = {}
        self.duplicates = self.discarded = 0

    def page(self) -> str:
        rows = "".join(f"<li>{escape(name)}: {count:,}</li>" for name, count in self.types.most_common())
        keys = "".join(f"<li>{name}: {count:,}</li>" for name, count in self.requests.most_common())
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Pretend Segment</title>'
            f"<h1>Pretend Segment</h1><p>Events, by type:</p><ul>{rows}</ul>"
            f"<p>Requests, by their write key:</p><ul>{keys}</ul>"
            f"<p>Events that came again: {self.duplicates:,}; discarded: {self.discarded:,}</p></html>"
        )


def _key_of(authorization: str) -> str:
    """User name of a Basic authorization; "" if it is none."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(rest, validate=True).decode().partition(":")[0]
    except (NotBase64, ValueError):
        return ""


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return value if isinstance(value, dict) else None


def _refused(code: str, why: str) -> Reply:
    return json_reply({"success": False, "code": code, "message": why}, 400)


def PretendSegment(  # noqa: N802 - reads as what it makes
    *, host: str = "127.0.0.1", port: int = 0, keep: int = KEEP, secrets: Sequence[str] = ()
) -> Pretend[Receiver]:
    """For `async with`; port 0 takes any free one. secrets: write keys of its sources."""
    return Pretend(Receiver(secrets), host=host, port=port, keep=keep)


pretend = PretendSegment  #: what `milonga fake segment` starts
