"""
Events as a product sends them: about 930 bytes each, as Segment's Python SDK writes them (library, ip, user agent, page
in the context). Of 20 there are 13 tracks, 3 pages, 3 identifies and 1 group; each becomes one request to Totango.
"""

import os
import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from milonga.spec.stored import Stamp, Stamped

ID_LENGTH: Final = 36
ACCOUNTS, USERS_OF_ONE = 1_000, 5
SIZE: Final = 928  #: bytes of an event, as measured on SDK traffic
HAPPENED, SENT = "2026-11-22T10:10:10.123456+00:00", "2026-11-22T10:10:10.623456+00:00"
_MIX: Final = "ttttptitttptitttpitg"
_HOLE: Final = "@" * ID_LENGTH


class Sample(Struct, frozen=True):
    """An event with a hole for its message id: `head` + id + `tail`."""

    type: Any
    account: str
    user: str
    head: bytes
    tail: bytes


def message_ids(count: int) -> Iterator[bytes]:
    """Random ones, as SDKs make them, without the price of the uuid module."""
    digits = os.urandom(16 * count).hex().encode()
    for at in range(0, 32 * count, 32):
        yield b"id-0" + digits[at : at + 32]


def tracks(count: int) -> list[Sample]:
    return [_sample(number, "t") for number in range(count)]


def mix(count: int) -> list[Sample]:
    """Of 1,000 accounts with 5 users each, spread over the log as customers are."""
    return [_sample(number, _MIX[number % len(_MIX)]) for number in range(count)]


def stamped(samples: list[Sample], source: int, count: int, first: int = 0) -> list[Stamped]:
    """What the collector would append for `count` of them, received now."""
    now = time.time_ns() // 1_000_000
    ids = zip(range(first, first + count), message_ids(count), strict=True)
    return [stamp_now(samples[place % len(samples)], id_, source, now) for place, id_ in ids]


def numbered(number: int, account: str, user: str) -> Sample:
    """A track whose event's name is its number, so that a receiver can tell which it is."""
    return sample_of(number, "t", account, user, str(number))


def stamp_now(sample: Sample, id_: bytes, source: int, now: int) -> Stamped:
    """now  unix milliseconds"""
    stamp = Stamp(
        source=source,
        type=sample.type,
        message_id=id_.decode(),
        own_message_id=True,
        user_id=sample.user,
        anonymous_id=None,
        account=sample.account,
        account_found="groupId" if sample.type == "group" else "context.groupId",
        received_at=now,
        timestamp=now - 500,
        original_timestamp=HAPPENED,
        sent_at=SENT,
    )
    return Stamped(stamp, sample.head + id_ + sample.tail)


def _sample(number: int, letter: str) -> Sample:
    account = f"account-{number * 7 % ACCOUNTS:04}"
    user = f"user-{number // ACCOUNTS % USERS_OF_ONE}@{account}.example"
    return sample_of(number, letter, account, user, "Report exported")


def sample_of(number: int, letter: str, account: str, user: str, name: str) -> Sample:
    """
    letter  t, p, i or g: track, page, identify, group
    name    of a track
    """
    event: dict[str, Any] = {
        "userId": user,
        "messageId": _HOLE,
        "timestamp": HAPPENED,
        "sentAt": SENT,
        "integrations": {},
        "context": {
            "groupId": account,
            "library": {"name": "analytics-python", "version": "2.4.0"},
            "ip": "203.0.113.7",
            "locale": "en-GB",
            "timezone": "Europe/Berlin",
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "page": {"path": f"/reports/{number}", "title": "Reports", "url": f"https://app.example/reports/{number}"},
        },
    }
    match letter:
        case "t":
            properties = {"category": "Reports", "format": "pdf", "rows": number, "share": 0.25, "tags": ["eu", "q3"]}
            event |= {"type": "track", "event": name, "properties": properties}
        case "p":
            event |= {"type": "page", "name": "Reports", "properties": {"path": f"/reports/{number}", "search": ""}}
        case "i":
            traits = {"name": "Ada Lovelace", "email": user, "role": "admin", "created": "2024-02-29", "seats": 12}
            event |= {"type": "identify", "traits": traits}
        case _:
            traits = {"name": account, "plan": "Paying", "industry": "Tango", "employees": 120, "mrr": 990.5}
            event |= {"type": "group", "groupId": account, "traits": traits}
    where = "traits" if "traits" in event else "properties"
    room = SIZE - len(msgspec.json.encode(event)) - len(b',"note":""')
    event[where]["note"] = ("what the user wrote into it, " * 20)[: max(room, 0)]
    head, tail = msgspec.json.encode(event).split(_HOLE.encode())
    return Sample(event["type"], account, user, head, tail)
