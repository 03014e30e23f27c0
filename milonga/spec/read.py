"""
From the bytes of one event to an Event. Lenient: whatever is unusable counts as absent, so that an event which was
once accepted can always be read again.
"""

from typing import Any, Final, cast, get_args

import msgspec
from msgspec import Raw, UnsetType

from milonga.spec.event import (
    Account,
    Alias,
    Call,
    Event,
    EventType,
    Group,
    Identify,
    JsonObject,
    Page,
    Screen,
    Track,
)
from milonga.spec.mend import loads
from milonga.spec.stored import Stamp, Stamped
from milonga.spec.values import id_text, name_text

EVENT_TYPES: Final[frozenset[str]] = frozenset(get_args(EventType))


class NotAnEvent(ValueError):
    """The text is not one JSON object with a `type` of identify, group, track, page, screen or alias."""


def read_object(body: bytes) -> JsonObject:
    """The object, mended where it is no JSON (milonga.spec.mend). NotAnEvent if it is none even so."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        try:
            value = loads(body)
        except ValueError as error:
            raise NotAnEvent(str(error)) from None
    if not isinstance(value, dict):
        raise NotAnEvent(f"Expected an object, got {type(value).__name__}")
    return value


def read_stamped(stamped: Stamped) -> Event:
    """The event a log holds, with what the collector found out about it."""
    stamp = stamped.stamp
    received = read_object(stamped.body)
    account = None
    if stamp.account is not None and stamp.account_found is not None:
        account = Account(stamp.account, stamp.account_found)
    return Event(
        type=stamp.type,
        call=call_of(stamp.type, received),
        message_id=stamp.message_id,
        user_id=stamp.user_id,
        anonymous_id=stamp.anonymous_id,
        account=account,
        context=_with_ip(stamp.ip, _over(stamp.batch_context, object_at(received, "context"))),
        integrations=_over(stamp.batch_integrations, object_at(received, "integrations")),
        timestamp=stamp.timestamp,
        received_at=stamp.received_at,
        received=received,
        source=stamp.source,
    )


def said_for_all(stamp: Stamp) -> dict[str, JsonObject] | None:
    """What the event's batch said for all its events, `context` and `integrations`; None if nothing."""
    said = {"context": _over(stamp.batch_context, {}), "integrations": _over(stamp.batch_integrations, {})}
    return {name: value for name, value in said.items() if value} or None


def _over(batch: Raw | UnsetType, own: JsonObject) -> JsonObject:
    """The event's own, over what its batch says for all. Stamps once had null for nothing."""
    if isinstance(batch, UnsetType) or (shared := bytes(batch)) == b"null":
        return own
    return {**read_object(shared), **own}


def _with_ip(ip: str | None, context: JsonObject) -> JsonObject:
    return context if ip is None else {**context, "ip": ip}


def type_of(received: JsonObject) -> EventType:
    """The event's own `type`. NotAnEvent if it has none or an unknown one."""
    type_ = received.get("type")
    if not isinstance(type_, str) or type_ not in EVENT_TYPES:
        raise NotAnEvent(f"Expected one of {', '.join(sorted(EVENT_TYPES))}, got {type_!r:.60} - at `$.type`")
    return cast("EventType", type_)


def call_of(type_: EventType, received: JsonObject) -> Call:
    match type_:
        case "identify":
            return Identify(object_at(received, "traits"))
        case "group":
            return Group(id_text(received.get("groupId")), object_at(received, "traits"))
        case "track":
            return Track(name_text(received.get("event")), object_at(received, "properties"))
        case "page":
            return Page(*_named(received))
        case "screen":
            return Screen(*_named(received))
        case "alias":
            return Alias(id_text(received.get("previousId")))


def object_at(received: JsonObject, key: str) -> JsonObject:
    """The object at this key; an empty one if there is none. PHP's SDK writes [] for {}."""
    value: Any = received.get(key)
    return value if isinstance(value, dict) else {}


def _named(received: JsonObject) -> tuple[str | None, str | None, JsonObject]:
    return (
        name_text(received.get("name")),
        name_text(received.get("category")),
        object_at(received, "properties"),
    )
