"""
Requests of SDKs that cannot be run here, put together as their source, or a capture, says they are.

They go through the gate as the SDK sends them until they are taken: after a 503, a 429, and an answer that was lost.
"""

import base64
import gzip
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any
from uuid import uuid4

import msgspec

from tests.running import PATIENCE
from tests.sdks.gate import Gate
from tests.sdks.session import EVENTS, FAULTS, KEY

BASIC = "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()
SENT_AT = "2026-11-22T01:12:15.000Z"


def calls(account: str, *, screen: bool = False) -> list[dict[str, Any]]:
    """The session of tests/sdks/session.py, still without what an SDK adds to each call."""
    context = {"groupId": account}
    seen = (
        {"type": "screen", "name": "Index", "properties": {}}
        if screen
        else {"type": "page", "name": "Index", "category": "Docs", "properties": {}}
    )
    return [
        {"type": "identify", "userId": "ada", "traits": {"name": "Ada"}, "context": context},
        {"type": "group", "userId": "ada", "groupId": account, "traits": {"name": "Acme", "plan": "Paying"}},
        {"userId": "ada", "context": context, **seen},
        track("Report exported", "Reports", context),
        *(track(f"e-{number}", "Load", context) for number in range(EVENTS)),
        {"type": "alias", "userId": "ada@example.com", "previousId": "ada"},
    ]


def track(event: str, category: str, context: dict[str, Any]) -> dict[str, Any]:
    return {"type": "track", "userId": "ada", "event": event, "properties": {"category": category}, "context": context}


def dressed(
    events: list[dict[str, Any]],
    *,
    library: str | None,
    version: str = "",
    stamp: Callable[[int], str] = "2026-11-22T01:12:14.{:03}Z".format,
    more: dict[str, Any] | None = None,
    **context: Any,
) -> list[dict[str, Any]]:
    """
    With what an SDK adds.

    library  None: it names itself elsewhere
    stamp    timestamp of the nth event
    more     beside the context; `context`: inside
    """
    own = {"library": {"name": library, "version": version}} if library else {}
    return [
        {
            **(more or {}),
            **event,
            "messageId": str(uuid4()),
            "timestamp": stamp(number),
            "context": {**event.get("context", {}), **own, **context},
        }
        for number, event in enumerate(events)
    ]


def post(gate: Gate, path: str, body: Any, *, packed: bool = False, chunked: bool = False, **headers: str) -> None:
    """
    Send it through FAULTS, always the same bytes, until it is answered as every SDK understands it: 200, a JSON object.

    headers  `content_type` becomes Content-Type
    """
    raw = msgspec.json.encode(body)
    raw = gzip.compress(raw) if packed else raw
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if packed:
        fields["content-encoding"] = "gzip"
    gate.instead.extend(FAULTS)
    while True:
        with suppress(RemoteDisconnected, ConnectionError):
            got = answer(gate, "POST", path, iter([raw[:100], raw[100:]]) if chunked else raw, fields)
            assert (got[1], type(msgspec.json.decode(got[2]))) == ("application/json", dict)
            if got[0] == 200:
                break
    assert got[2] == b'{"success": true}'
    assert [one.status for one in gate.posts] == [503, 429, 0, 200]
    assert ("transfer-encoding" in gate.posts[0].headers) is chunked


def answer(
    gate: Gate,
    method: str,
    path: str,
    body: bytes | Iterator[bytes] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    connection = HTTPConnection(gate.host, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers or {})
        got = connection.getresponse()
        return got.status, got.headers["content-type"], got.read()
    finally:
        connection.close()
