"""Which account an event belongs to: one small step that runs in log order, just before the append."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Raw

from milonga.spec.depth import too_deep
from milonga.spec.event import Account, Event, EventType
from milonga.spec.limits import MAX_DEPTH
from milonga.spec.names import fold
from milonga.spec.read import NotAnEvent, call_of, object_at, read_object, type_of
from milonga.spec.values import id_text


def account_of(type_: EventType, group_id: Any, context: Iterable[tuple[str, Any]]) -> Account | None:
    """
    group: its top-level `groupId`. Everything else: `context.groupId`, whatever its spelling; of several spellings
    the first usable one in the order of the event's keys. Never guessed from the user id or an e-mail address.

    context  its items, values decoded
    """
    if type_ == "group":
        own = id_text(group_id)
        return None if own is None else Account(own, "groupId")
    for key, value in context:
        if _names_group(key) and (found := id_text(value)) is not None:
            return Account(found, "context.groupId")
    return None


def account_in(
    type_: EventType, group_id: Any, context: Mapping[str, Raw], batch_context: Mapping[str, Raw]
) -> Account | None:
    """
    The same of an event not yet decoded. The batch's context counts only where the event's own names no account;
    a key that the event has too is the event's, so that its null hides the batch's value.
    """
    if type_ == "group":
        return account_of(type_, group_id, ())
    account = _named_in(context)
    if account is None and batch_context:
        account = _named_in({key: raw for key, raw in batch_context.items() if key not in context})
    return account


def _named_in(context: Mapping[str, Raw]) -> Account | None:
    """What `account_of` finds, decoding only what may be it."""
    for key in context:
        if key not in _OTHERS and _names_group(key) and (found := id_text(_value(context[key]))) is not None:
            return Account(found, "context.groupId")
    return None


def _value(raw: Raw) -> Any:
    try:
        return _read_id(raw)
    except msgspec.MsgspecError:  # no id: an object, a list, a number out of range
        return None


def _names_group(key: str) -> bool:
    # Contexts have the same few keys over and over, and folding one takes longer than all the rest of this rule.
    return _folds_to_group(key) if len(key) <= _LONGEST_KNOWN else fold(key) == _GROUP


@lru_cache(maxsize=4096)
def _folds_to_group(key: str) -> bool:
    return fold(key) == _GROUP


_SEGMENTS: Final = """
active amp app campaign channel consent device direct externalIds instanceId ip library locale location network os page
protocols referrer screen timezone traits userAgent userAgentData
"""
_OTHERS: Final = frozenset(_SEGMENTS.split())
"""Segment's own context keys, known to name no account. Source: Segment spec, Common fields, "Context"."""

_GROUP: Final = fold("groupId")
_LONGEST_KNOWN: Final = 64  # characters; a longer key is not remembered, so that the memory of keys stays small
_read_id: Final = msgspec.json.Decoder(str | bool | int | float | None).decode


def read_unstamped(body: bytes) -> Event:
    """
    An event that never went through the collector, such as a line given to `milonga translate`. NotAnEvent if the
    text is none.
    """
    if too_deep(body):
        raise NotAnEvent(f"Expected at most {MAX_DEPTH} levels of objects and lists")
    received = read_object(body)
    type_, context = type_of(received), object_at(received, "context")
    return Event(
        type=type_,
        call=call_of(type_, received),
        message_id=id_text(received.get("messageId")),
        user_id=id_text(received.get("userId")),
        anonymous_id=id_text(received.get("anonymousId")),
        account=account_of(type_, received.get("groupId"), context.items()),
        context=context,
        integrations=object_at(received, "integrations"),
        timestamp=None,
        received_at=None,
        received=received,
    )
