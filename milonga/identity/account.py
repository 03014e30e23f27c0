"""Which account an event belongs to: one small step that runs in log order, just before the append."""

from collections.abc import Iterable
from typing import Any

from milonga.spec.event import Account, Event, EventType
from milonga.spec.names import fold
from milonga.spec.read import call_of, object_at, read_object, type_of
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
        if (key == "groupId" or fold(key) == "groupid") and (found := id_text(value)) is not None:
            return Account(found, "context.groupId")
    return None


def read_unstamped(body: bytes) -> Event:
    """
    An event that never went through the collector, such as a line given to `milonga translate`. NotAnEvent if the
    text is none.
    """
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
