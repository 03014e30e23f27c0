"""Parked keys as people see them: which there are, what waits behind each, why and until when. Reads only."""

from collections.abc import Iterator

from msgspec import Struct

from milonga.delivery.rows import ASIDE, NEVER, key_of, key_text
from milonga.delivery.store_reader import DeliveryReader, keys_of_account
from milonga.destinations.contract import Key
from milonga.eventlog.api import Position


class ParkedKey(Struct, frozen=True, kw_only=True):
    """
    text         the key as it stands in the file, by which pages go on
    waiting      events behind it
    first        the one that is next
    received_at  unix milliseconds: when that arrived
    parked_at    and when it was parked
    attempts     how often it was tried
    code, reason of its last failure; "" if there was none
    next_at      unix milliseconds: when it is looked at next; None: nothing but its turn is waited for
    """

    text: str
    waiting: int
    first: Position
    received_at: int
    parked_at: int
    attempts: int
    code: str
    reason: str
    next_at: int | None

    @property
    def key(self) -> Key:
        return key_of(self.text)


_KEYS = "SELECT key, count(*), min(place) FROM parked_lines WHERE destination = ? AND key > ?{} GROUP BY key LIMIT ?"
_FIRST = """
SELECT l.partition, l.offset, p.received_at, p.parked_at, g.attempts, g.code, g.reason, g.next_at, g.not_before,
  d.due_at
FROM parked_lines l JOIN parked p USING(destination, partition, offset)
LEFT JOIN progress g USING(destination, partition, offset) LEFT JOIN parked_due d USING(destination, key)
WHERE l.destination = ? AND l.key = ? AND l.place = ?
"""


def parked_keys(
    reader: DeliveryReader, destination: int, *, after: str = "", account: str | None = None, limit: int = 100
) -> list[ParkedKey]:
    """
    Those behind `after` in the order of their text, so that a page costs what it shows, however many there are.

    account  only keys that begin with it
    """
    if account is None:
        return list(_found(reader, destination, "", (destination, after, limit)))
    found: list[ParkedKey] = []
    for begin, end in keys_of_account(account):
        found += _found(reader, destination, " AND key >= ? AND key < ?", (destination, after, begin, end, limit))
    return sorted(found, key=lambda one: one.text)[:limit]


def parked_key(reader: DeliveryReader, destination: int, key: Key) -> ParkedKey | None:
    values = (destination, "", key_text(key), 1)
    return next(_found(reader, destination, " AND key = ?", values), None)


def count_keys(reader: DeliveryReader, destination: int) -> int:
    """A row of `parked_due` stands for each."""
    return int(next(reader.rows("SELECT count(*) FROM parked_due WHERE destination = ?", (destination,)))[0])


def last_places(
    reader: DeliveryReader, destination: int, key: Key, before: int, limit: int
) -> list[tuple[int, Position]]:
    """(place, position) of the events in a line that stand before `before`, the last first."""
    query = (
        "SELECT place, partition, offset FROM parked_lines WHERE destination = ? AND key = ? AND place < ?"
        " ORDER BY place DESC LIMIT ?"
    )
    rows = reader.rows(query, (destination, key_text(key), before, limit))
    return [(place, Position(partition, offset)) for place, partition, offset in rows]


def _found(reader: DeliveryReader, destination: int, which: str, values: tuple[int | str, ...]) -> Iterator[ParkedKey]:
    for text, waiting, place in list(reader.rows(_KEYS.format(which), values)):
        for row in reader.rows(_FIRST, (destination, text, place)):  # none if it went a moment ago
            partition, offset, received_at, parked_at, attempts, code, reason, next_at, not_before, due_at = row
            due = max(next_at or 0, not_before or 0) or None
            if due is None and due_at is not None and 0 < due_at < ASIDE:
                due = due_at
            yield ParkedKey(
                text=text,
                waiting=waiting,
                first=Position(partition, offset),
                received_at=received_at,
                parked_at=parked_at,
                attempts=attempts or 0,
                code=code or "",
                reason=reason or "",
                next_at=due if due is not None and due < NEVER else None,
            )
