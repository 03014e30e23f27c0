"""
A dead letter that somebody mended: what stands in its place, checked as every event is that arrives. What arrived stays
in the log as it was. Pure.
"""

import json
from typing import Any, Final, cast

import msgspec
from msgspec import Raw, Struct, UnsetType
from msgspec.structs import replace

from milonga.delivery.filing import HOW, TYPES
from milonga.identity.account import account_in
from milonga.identity.clock import happened_at, parse_time
from milonga.identity.message_id import message_id
from milonga.spec.arrived import Arrived
from milonga.spec.decode import decode_mended
from milonga.spec.event import Account, EventType
from milonga.spec.limits import MAX_EVENT, MAX_REQUEST
from milonga.spec.read import EVENT_TYPES, NotAnEvent, read_object
from milonga.spec.stored import Stamp, Stamped


class NotValid(ValueError):
    """Why a text cannot stand in for an event, in words that name the place. The letter stays as it is."""


class Edited(Struct, frozen=True, kw_only=True):
    """
    What was last put in an event's place at one destination.

    at     unix milliseconds: when that was sent on its way
    by     who asked for it
    event  what was sent instead
    """

    at: int
    by: str
    event: Stamped


def pretty(body: bytes) -> str:
    """An event for people to edit; nothing but white space differs. As it is if it is no plain JSON."""
    try:
        return msgspec.json.format(body, indent=2).decode(errors="replace")
    except msgspec.MsgspecError:
        return body.decode(errors="replace")


def edited(original: Stamped, text: str) -> Stamped:
    """
    The event as it goes out instead of `original`: at the same place in the log, with the same arrival, message id and
    batch; type, user, account and time as the text says. NotValid if it is none.
    """
    stamp = original.stamp
    body = _json(text)
    arrived = _valid(body, original)
    shared = _items(stamp.batch_context)
    account = account_in(arrived.type, arrived.group_id, arrived.context, shared)
    if account is None and _stays_filed(stamp, arrived):
        account = Account(stamp.account or "", HOW)
    id_, _ = message_id(arrived.message_id, lambda: stamp.message_id)
    if id_ != stamp.message_id:
        raise NotValid(f"Expected its own id, {stamp.message_id}: it stays the same event - at `$.messageId`")
    sent_at = arrived.sent_at or stamp.sent_at
    return Stamped(
        replace(
            stamp,
            type=arrived.type,
            user_id=arrived.user_id,
            anonymous_id=arrived.anonymous_id,
            account=None if account is None else account.id,
            account_found=None if account is None else account.found,
            timestamp=happened_at(parse_time(arrived.timestamp), parse_time(sent_at), stamp.received_at),
            original_timestamp=arrived.timestamp,
            sent_at=sent_at,
        ),
        arrived.body,
    )


def _stays_filed(stamp: Stamp, arrived: Arrived) -> bool:
    """Whether a replay had filed it under an account that its text does not name, and it is the same user's still."""
    return stamp.account_found == HOW and arrived.user_id == stamp.user_id and arrived.type in TYPES


def _json(text: str) -> bytes:
    """Without white space between its values, so that what was made readable is no larger than what arrived."""
    try:
        body = text.encode()
    except UnicodeEncodeError as error:
        raise NotValid(f"Expected text, got half a character at {error.start}") from None
    if len(body) > MAX_REQUEST:
        raise NotValid(f"Expected at most {MAX_EVENT} bytes, got {len(body)} - at `$`")
    try:
        msgspec.json.decode(body, type=Raw)
        return msgspec.json.format(body, indent=-1)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NotValid(_where(text) or f"Expected JSON: {error}") from None


def _where(text: str) -> str:
    """Where the JSON ends to be one, for people; "" if Python's own reader finds no fault."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"Expected JSON: {error.msg}, line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        pass
    return ""


def _valid(body: bytes, original: Stamped) -> Arrived:
    try:
        received: Any = read_object(body)
    except (NotAnEvent, RecursionError) as error:
        raise NotValid(f"{error} - at `$`") from None
    said = received.get("type")
    if said is not None and (not isinstance(said, str) or said not in EVENT_TYPES):
        raise NotValid(f"Expected one of {', '.join(sorted(EVENT_TYPES))}, got {said!r:.60} - at `$.type`")
    decoded = decode_mended(body, original.stamp.type if said is None else cast("EventType", said))
    if decoded.rejected or len(decoded.events) != 1:
        raise NotValid(decoded.rejected[0].reason if decoded.rejected else "Expected one event - at `$`")
    return decoded.events[0]


def _items(shared: Raw | UnsetType) -> dict[str, Raw]:
    """Members of the batch's context."""
    if isinstance(shared, UnsetType):
        return {}
    try:
        return _read_items(shared) or {}
    except msgspec.MsgspecError:
        return {}


_read_items: Final = msgspec.json.Decoder(dict[str, Raw] | None).decode
