"""Requests with which nothing is wrong: those recorded from SDKs, and one of every route of docs/tracking-api.md."""

import base64
import gzip
import json
import random
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from tests.fuzz.draft import Aim, Draft, Framing

KEY: Final = "WK_TEST_abc123"  #: the one in the recorded requests
OFF_KEY: Final = "WK_OFF"  #: of a source that is switched off
LISTED_KEY: Final = "WK_LISTED"  #: of a source with a list of origins
SLOW_KEY: Final = "WK_SLOW"  #: of a source with a rate limit and a cap on accounts
LISTED_ORIGIN: Final = "https://shop.example"
KEYS: Final = (KEY, KEY, KEY, KEY, OFF_KEY, LISTED_KEY, SLOW_KEY, "WK_UNKNOWN")

TYPES: Final = ("identify", "track", "page", "screen", "group", "alias")
_CAPTURED: Final = Path(__file__).parents[1] / "collector" / "captured"
_LEFT_OUT: Final = {"content-length", "connection", "transfer-encoding"}


class Template(Struct, frozen=True):
    """body  JSON text; b"" for none"""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    aim: Aim
    packed: bool = False


@cache
def templates() -> tuple[Template, ...]:
    return (*captured(), *written())


@cache
def captured() -> tuple[Template, ...]:
    found = []
    for path in sorted(_CAPTURED.glob("*.json")):
        for request in json.loads(path.read_text())["requests"]:
            headers = [(k.encode(), v.encode()) for k, v in request["headers"] if k.lower() not in _LEFT_OUT]
            packed = (b"Content-Encoding", b"gzip") in headers
            target = request["path"].encode()
            aim: Aim = "metrics" if target == b"/v1/m" else "track"
            body = msgspec.json.encode(request["body"])
            found.append(Template(request["method"].encode(), target, tuple(headers), body, aim, packed))
    return tuple(found)


def written() -> list[Template]:
    """One of every route, some of them several times, so that each comes often enough."""
    host = (b"Host", b"events.example.com")
    basic = (b"Authorization", b"Basic " + base64.b64encode(f"{KEY}:".encode()))
    browser = (host, (b"Origin", LISTED_ORIGIN.encode()), (b"Content-Type", b"text/plain"))
    found = []
    for type_ in TYPES:
        body = msgspec.json.encode(event(type_, "t-" + type_))
        found.append(Template(b"POST", f"/v1/{type_}".encode(), (host, basic), body, "track"))
        found.append(Template(b"POST", f"/v1/{type_[0]}".encode(), (*browser, basic), body, "track"))
    for path, more in ((b"/v1/batch", ()), (b"/v1/b", browser[1:]), (b"/v1/import", ()), (b"//v1/import/", ())):
        body = msgspec.json.encode(batch([event(type_, "b-" + type_) for type_ in TYPES]))
        found.append(Template(b"POST", path, (host, *more), body, "track", packed=path == b"/v1/b"))
    found.append(
        Template(b"POST", b"/v1/m", browser, b'{"series":[{"type":"Counter","metric":"m","value":1}]}', "metrics")
    )
    found += [Template(b"GET", path, (host,), b"", "health") for path in (b"/healthz", b"/readyz")]
    return found


def event(type_: str, message_id: str) -> dict[str, Any]:
    """With everything in it that the road looks at."""
    own: dict[str, Any] = {
        "type": type_,
        "messageId": message_id,
        "userId": "ada@acme.example",
        "anonymousId": "5e1f",
        "timestamp": "2026-11-22T00:54:50.728Z",
        "sentAt": "2026-11-22T00:54:50.818Z",
        "context": {
            "groupId": "acme",
            "ip": "203.0.113.9",
            "direct": True,
            "page": {
                "path": "/billing",
                "url": "https://shop.example/billing",
                "title": "Billing",
                "category": "Money",
            },
            "library": {"name": "analytics.js", "version": "next-1.84.3"},
            "device": {"advertisingId": "7A3CBEA0", "type": "ios"},
            "consent": {"categoryPreferences": {"advertising": True}, "version": 1},
        },
        "integrations": {"All": True, "Totango": {"product": {"id": "p-1", "account_id": "acme"}}, "Webhook": False},
        "_metadata": {"bundled": ["Segment.io", "Totango"], "unbundled": []},
    }
    match type_:
        case "identify":
            own["traits"] = {
                "email": "ada@acme.example",
                "createdAt": "2024-02-29",
                "plan": {"name": "gold", "seats": 7},
            }
        case "group":
            own |= {"groupId": "acme", "traits": {"name": "Acme", "plan": "gold", "parent_id": "holding", "seats": 7}}
        case "track":
            own |= {"event": "Invoice Paid", "properties": {"category": "Billing", "revenue": 39.95, "items": [1, "b"]}}
        case "alias":
            own["previousId"] = "5e1f"
        case _:
            own |= {
                "name": "Billing",
                "category": "Money",
                "properties": {"path": "/billing", "url": "https://x.example/"},
            }
    return own


def renew(value: Any, dice: random.Random) -> None:
    """Other events than the last time: of other messages, users and accounts, so that they are no duplicates."""
    events = value.get("batch", [value])
    for one in events:
        one["messageId"] = f"f-{dice.getrandbits(60)}"
        if isinstance(one.get("userId"), str):
            one["userId"] = f"{one['userId']}-{dice.randrange(100)}"
        if isinstance(one.get("context"), dict):
            one["context"]["groupId"] = f"acme-{dice.randrange(30)}"


def batch(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "writeKey": KEY,
        "sentAt": "2026-11-22T00:54:51Z",
        "context": {"library": {"name": "x"}},
        "integrations": {},
        "batch": events,
    }


def draft_of(template: Template) -> Draft:
    body = gzip.compress(template.body, 1, mtime=0) if template.packed else template.body
    framing: Framing = "length" if body or template.method == b"POST" else "none"
    return Draft(template.method, template.target, list(template.headers), body, template.aim, framing=framing)


def honest(number: int, place: int, dice: random.Random) -> Draft:
    """As an SDK sends it; answered with 200, it must be found in the log."""
    ids = tuple(f"honest-{number}-{place}-{one}" for one in range(dice.choice((1, 1, 2, 5))))
    events = [event(dice.choice(TYPES), id_) for id_ in ids]
    renew({"batch": events}, dice)
    for one, id_ in zip(events, ids, strict=True):
        one["messageId"] = id_
    if len(ids) > 1:
        return _posted(b"/v1/batch", batch(events), ids, dice)
    one = {**events[0], "writeKey": KEY}
    if dice.random() < 0.4:
        return _as_pixel(one, ids)
    return _posted(f"/v1/{one['type'][0]}".encode(), one, ids, dice)


def _posted(target: bytes, body: object, ids: tuple[str, ...], dice: random.Random) -> Draft:
    headers = [(b"Host", b"events.example.com")]
    draft = Draft(b"POST", target, headers, msgspec.json.encode(body), "track", honest=ids)
    if dice.random() < 0.3:
        draft.body = gzip.compress(draft.body, 1, mtime=0)
        draft.headers.append((b"Content-Encoding", b"gzip"))
    if dice.random() < 0.3:
        draft.framing = "chunked"
    return draft


def _as_pixel(one: dict[str, Any], ids: tuple[str, ...]) -> Draft:
    data = base64.urlsafe_b64encode(msgspec.json.encode(one)).rstrip(b"=")
    target = b"/v1/pixel/%b?data=%b" % (one["type"].encode(), data)
    return Draft(b"GET", target, [(b"Host", b"events.example.com")], b"", "pixel", framing="none", honest=ids)
