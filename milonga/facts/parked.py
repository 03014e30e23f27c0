"""Parked keys, and the events that wait behind them, as rows."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from milonga.delivery.parked_events import LineMark, Waiting, WaitingPage, parked_events
from milonga.delivery.parked_list import ParkedKey
from milonga.destinations.contract import Key
from milonga.facts.facts import Facts, Place
from milonga.outcomes.words import instant
from milonga.spec.called import name_in
from milonga.spec.stored import Stamped

AT_ONCE: Final = 200  #: events that are read together


class Held(Struct, frozen=True):
    """event  as it will be sent; None if it has left the log, cannot be read, or was erased"""

    waiting: Waiting
    event: Stamped | None


def as_row(one: ParkedKey) -> dict[str, Any]:
    key = one.key
    return {
        "key": list(key),
        "account": key[0],
        "user": key[1] if len(key) > 1 else None,
        "waiting": one.waiting,
        "since": instant(one.received_at),
        "parkedAt": instant(one.parked_at),
        "first": {"partition": one.first.partition, "offset": one.first.offset},
        "attempts": one.attempts,
        "code": one.code,
        "reason": one.reason,
        "nextTry": None if one.next_at is None else instant(one.next_at),
    }


def held(facts: Facts, page: WaitingPage) -> list[Held]:
    """With their events, which lie in the log unless somebody has changed them."""
    places = [one.parked.position for one in page.events if one.parked.event is None]
    there = {one.position: one.event for one in facts.log.at_each([position.offset for position in places])}
    found = [Held(one, one.parked.event or there.get(one.parked.position)) for one in page.events]
    return [Held(one.waiting, None) if one.event is not None and one.event.stamp.is_erased else one for one in found]


def all_held(facts: Facts, place: Place, *, account: str | None = None, key: Key | None = None) -> Iterator[list[Held]]:
    """All that wait behind the keys of a destination, of an account, or behind one key; some at a time."""
    mark: LineMark | None = None
    while facts.delivery is not None:
        page = parked_events(facts.delivery, place.config.id, account=account, key=key, beyond=mark, limit=AT_ONCE)
        yield held(facts, page)
        mark = page.next
        if mark is None:
            return


def held_as_row(place: Place, one: Held) -> dict[str, Any]:
    waiting, parked = one.waiting, one.waiting.parked
    row: dict[str, Any] = {
        "destination": place.config.name,
        "position": {"partition": parked.position.partition, "offset": parked.position.offset},
        "key": list(waiting.key),
        "parkedAt": instant(parked.parked_at),
        "attempts": waiting.attempts,
        "code": waiting.code,
        "reason": waiting.reason,
        "nextTry": instant(waiting.next_at) if waiting.next_at else None,
        "type": None,
        "name": None,
        "messageId": None,
        "user": None,
        "account": None,
        "receivedAt": instant(parked.received_at),
    }
    if one.event is not None:
        stamp = one.event.stamp
        row |= {"type": stamp.type, "name": name_in(one.event), "messageId": stamp.message_id}
        row |= {"user": stamp.user_id, "account": stamp.account}
    return row
