"""From an event to one batch of one. See docs/segment.md."""

from typing import Any, Final

import msgspec

from milonga.destinations.contract import Requests, Skip
from milonga.destinations.segment.hops import MAX_HOPS, hops, with_hop
from milonga.destinations.segment.settings import Settings
from milonga.destinations.segment.wanted import NAME as NAME
from milonga.destinations.segment.wanted import wanted
from milonga.destinations.segment.wire import MAX_EVENT, request
from milonga.destinations.whole import MAX_DEPTH, TooDeep, mended, moment
from milonga.spec.event import Event

NOT_SENT: Final = frozenset({"sentAt", "originalTimestamp", "receivedAt", "writeKey"})
"""
Of the sender's own fields. The times belong to the way to us, and with them the receiver would correct `timestamp` once
more; the key opens our source, not the receiver's. docs/segment.md, "Times".
"""


def translate(event: Event, settings: Settings) -> Requests | Skip:
    """The event as the SDK sent it, its time corrected, with one mark more."""
    if not wanted(event, settings):
        return _DISABLED
    if not settings.write_key:
        return _MISSING_WRITE_KEY
    marks = hops(event.context)
    if settings.instance and settings.instance in marks:
        return _BACK_AGAIN
    if len(marks) >= MAX_HOPS:
        return _TOO_FAR
    try:
        value = mended(_as_sent(event, settings.instance))
    except TooDeep:
        return _TOO_DEEP
    size = len(msgspec.json.encode(value))
    if size > MAX_EVENT:
        return _too_large(size)
    return [request(value, settings.endpoint, settings.write_key)]


def _as_sent(event: Event, mark: str) -> dict[str, Any]:
    value: dict[str, Any] = {name: each for name, each in event.received.items() if name not in NOT_SENT}
    value["type"] = event.type
    if event.message_id is not None:
        value["messageId"] = event.message_id
    value["context"] = with_hop(event.context, mark)
    if event.integrations:
        value["integrations"] = event.integrations
    if event.timestamp is not None and (happened := moment(event.timestamp)) is not None:
        value["timestamp"] = happened
    return value


def _too_large(size: int) -> Skip:
    return Skip(
        "event_too_large",
        f"The event takes {size:,} bytes as it would be forwarded, the receiver {MAX_EVENT:,}. Send less in one call: "
        "fewer properties or traits, or shorter ones.",
    )


_DISABLED: Final = Skip(
    "disabled",
    "The call's own `integrations` switches Segment.io off. Send it without `Segment.io: false` or `All: false`, or "
    "with `Segment.io: true`. To forward also what says `All: false`: "
    "`milonga destinations set NAME --set forwardAll=true`.",
)
_MISSING_WRITE_KEY: Final = Skip(
    "missing_write_key",
    "Set the write key of the receiver's source: `milonga destinations set NAME --set writeKey=...`.",
)
_BACK_AGAIN: Final = Skip(
    "loop",
    "This Milonga has forwarded the event before, and it came back: receivers forward to each other. Nothing is lost "
    "by that; to end it, switch off the destination that sends events back here, or this one.",
)
_TOO_FAR: Final = Skip(
    "loop",
    f"The event has been forwarded {MAX_HOPS} times already, as `context.milonga.hops` says, and goes no further. Send "
    "it from an earlier receiver of the chain to where it should go.",
)
_TOO_DEEP: Final = Skip(
    "too_deep",
    f"The event nests more than {MAX_DEPTH} objects and lists in one another: send it flatter.",
)
