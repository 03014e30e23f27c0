"""Which event stands before another one at a destination: the first unfinished one that shares a key with it."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from milonga.delivery.detours import account_of
from milonga.delivery.rows import Progress
from milonga.delivery.store_reader import DeliveryReader
from milonga.destinations.contract import Key
from milonga.eventlog.api import START, Offset, Position, Stored
from milonga.eventlog.lookup import EventLookup
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.waiting import Behind
from milonga.spec.event import Event
from milonga.spec.read import read_stamped

KeysOf: TypeAlias = Callable[[Event], tuple[Key, ...]]

LOOKED_AT = 500  #: events of the same account before it; a longer line is parked, and its head is known


class Ahead:
    """Of one data directory."""

    def __init__(self, log: EventLookup, outcomes: OutcomeReader, delivery: DeliveryReader) -> None:
        self._log, self._outcomes, self._delivery = log, outcomes, delivery

    def of(self, stored: Stored, destination: int, keys_of: KeysOf, *, parked: bool) -> Behind | None:
        """
        keys_of  of an event, as its destination is set now
        parked   whether the event itself is

        None if nothing is known to stand before it.
        """
        keys = _keys(stored, keys_of)
        if not keys:
            return None
        heads = {
            head
            for key in keys
            if (head := self._delivery.head(destination, key)) is not None
            and head != stored.position
            and (parked or head.offset < stored.position.offset)
        }
        first = self._first(destination, heads or self._in_memory(stored, destination, keys_of, keys))
        if first is None:
            return None
        before, progress = first
        return Behind(
            message_id=before.event.stamp.message_id,
            offset=before.position.offset,
            code=progress.code if progress is not None else "",
            next_at=(progress.due_at or None) if progress is not None else None,
        )

    def _in_memory(self, stored: Stored, destination: int, keys_of: KeysOf, keys: set[Key]) -> list[Position]:
        """Unfinished ones of the same account, or user, that arrived before it and share a key."""
        stamp, before = stored.event.stamp, stored.position.offset
        # Nothing up to there is unfinished: an account's events have one watermark, or older ones a later one.
        after = self._behind(destination, stored) or START
        if stamp.account is not None:
            near = self._log.by_account(stamp.account, LOOKED_AT, before, after)
        elif stamp.user_id is not None:
            near = self._log.by_user(stamp.user_id, LOOKED_AT, before, after)
        else:
            near = self._log.newest(LOOKED_AT, before, after)
        mine = [one for one in near if one.event.stamp.source == stamp.source]
        ended = self._outcomes.of_many([one.position for one in mine])
        return [
            one.position
            for one in mine
            if one.position.offset > (self._behind(destination, one) or 0)
            and not any(o.destination == destination for o in ended.get(one.position, ()))
            and _keys(one, keys_of) & keys
        ]

    def _behind(self, destination: int, one: Stored) -> Offset | None:
        return self._delivery.behind(destination, one.position, account_of(one.event.stamp))

    def _first(self, destination: int, positions: Iterable[Position]) -> tuple[Stored, Progress | None] | None:
        """One that was tried before any other, then the first in the log."""
        known = [(self._delivery.progress(destination, position), position) for position in positions]
        known.sort(key=lambda one: (one[0] is None or not one[0].code, one[1]))
        for progress, position in known:
            if (stored := self._read(destination, position)) is not None:
                return stored, progress
        return None

    def _read(self, destination: int, position: Position) -> Stored | None:
        found = self._log.at(position)
        if isinstance(found, Stored):
            return found
        parked = self._delivery.parked(destination, position)
        return Stored(position, parked.event) if parked is not None and parked.event is not None else None


def _keys(stored: Stored, keys_of: KeysOf) -> set[Key]:
    try:
        return set(keys_of(read_stamped(stored.event)))
    except Exception:  # then it stands in nobody's way
        return set()
