"""Reading what delivery remembers (milonga.delivery.store): from its own process, or beside it from the CLI."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import apsw
import msgspec
from msgspec import Struct

from milonga.delivery.backlog_rows import BacklogReader
from milonga.delivery.edited_rows import EditedReader
from milonga.delivery.replay_rows import ReplayReader
from milonga.delivery.rows import (
    ASIDE,
    DeadLetter,
    DetourRow,
    Health,
    InForce,
    Parked,
    Progress,
    event_of,
    key_of,
    key_text,
    keys_of,
    parts_of,
)
from milonga.destinations.contract import Key
from milonga.eventlog.api import START, Offset, Position
from milonga.eventlog.aside import DAMAGED
from milonga.eventlog.wal import leave_wal

Age: TypeAlias = tuple[int, int, int]
"""(received_at, partition, offset): a place in the parked events from the oldest arrival on."""

OLDEST: Age = (-1, 0, 0)

DEAD, PARKED, EDITED = "deadLetters", "parkedCopies", "editedCopies"  #: as what a copy of an event is kept


class Aged(Struct, frozen=True):
    """A parked event without its bytes, as far as its end by age or by switching off is concerned."""

    age: Age
    parked_at: int
    resent: bool
    keys: tuple[Key, ...]

    @property
    def position(self) -> Position:
        return Position(*self.age[1:])


class DeliveryReader:
    """
    The committed state of a DeliveryStore. Short reads only. apsw.CantOpenError if there is no such file, or it is so
    damaged that it will be set aside when delivery starts.
    """

    def __init__(self, path: Path) -> None:
        self._db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._db.set_busy_timeout(5_000)
        leave_wal(self._db)
        try:
            self._db.execute("SELECT 1 FROM positions LIMIT 1").fetchall()
        except (*DAMAGED, apsw.SQLError) as error:  # no tables: it is being made, or was emptied
            self._db.close()
            raise apsw.CantOpenError(f"{path}: {error}") from error
        self.replays, self.edited = ReplayReader(self._db), EditedReader(self._db)
        self.backlog = BacklogReader(self._db)
        self._progress = "progress LEFT JOIN failing USING(destination, partition, offset)"
        if not self._has("failing"):
            self._progress = "(SELECT *, 0 AS since FROM progress)"

    def close(self) -> None:
        self._db.close()

    # Positions and progress

    def position(self, destination: int, partition: int) -> Offset | None:
        query = "SELECT watermark FROM positions WHERE destination = ? AND partition = ?"
        row = self._first(query, (destination, partition))
        return None if row is None else row[0]

    def watermarks(self, partition: int) -> list[Offset]:
        """Of every destination that reads this partition, and of every detour."""
        rows = list(self._db.execute("SELECT watermark FROM positions WHERE partition = ?", (partition,)))
        if self._has("detours"):
            rows += self._db.execute("SELECT after FROM detours WHERE partition = ?", (partition,))
        return [row[0] for row in rows]

    def detours(self, destination: int, partition: int) -> list[DetourRow]:
        if not self._has("detours"):
            return []
        query = (
            "SELECT leader, after, upto, begins, unread, counted FROM detours WHERE destination = ? AND partition = ?"
        )
        return [
            DetourRow(
                leader=leader,
                after=after,
                upto=upto,
                begins=msgspec.json.decode(begins, type=dict[str, int]),
                unread=unread,
                counted=counted,
            )
            for leader, after, upto, begins, unread, counted in self._db.execute(query, (destination, partition))
        ]

    def behind(self, destination: int, position: Position, account: str) -> Offset | None:
        """
        The watermark that decides whether this event of this account (milonga.delivery.detours.account_of) is behind
        it: the destination's own, or that of the account's detour. None if it never ran.
        """
        detours = self.detours(destination, position.partition)
        own = self.position(destination, position.partition)
        after = [row.after for row in detours if row.covers(account, position.offset)]
        return own if own is None else min([own, *after])

    def _has(self, table: str) -> bool:
        """False for a file that no delivery of this version has opened yet."""
        return bool(self._one("SELECT count(*) FROM sqlite_schema WHERE name = ?", (table,)))

    def highest(self, partition: int) -> Offset:
        """The highest offset it remembers anything of; START if none."""
        found = [START, *self.watermarks(partition)]
        for (destination,) in self._db.execute("SELECT DISTINCT destination FROM positions").fetchall():
            for table in ("progress", "parked", "dead"):
                query = f"SELECT max(offset) FROM {table} WHERE destination = ? AND partition = ?"  # noqa: S608
                found.append(self._one(query, (destination, partition)) or START)
        return max(found)

    def health(self, destination: int) -> Health | None:
        """None if it never ran. At most a second old, while the delivery process lives (milonga.delivery.health)."""
        row = self._first(f"SELECT {', '.join(_HEALTH)} FROM health WHERE destination = ?", (destination,))  # noqa: S608
        return None if row is None else Health(**dict(zip(_HEALTH, row, strict=True)))

    def in_force(self, destination: int) -> InForce | None:
        """None if it never ran, or not in a version that says so."""
        if not self._has("in_force"):
            return None
        row = self._first("SELECT settings_version, state_at, at FROM in_force WHERE destination = ?", (destination,))
        return None if row is None else InForce(*row)

    def progress(self, destination: int, position: Position) -> Progress | None:
        where = "destination = ? AND partition = ? AND offset = ?"
        query = f"SELECT {_PROGRESS} FROM {self._progress} WHERE {where}"  # noqa: S608
        row = self._first(query, (destination, *position))
        return None if row is None else _progress(*row)

    def progress_after(self, destination: int, partition: int, offset: Offset) -> dict[Offset, Progress]:
        where = "destination = ? AND partition = ? AND offset > ?"
        query = f"SELECT offset, {_PROGRESS} FROM {self._progress} WHERE {where}"  # noqa: S608
        rows = self._db.execute(query, (destination, partition, offset))
        return {at: _progress(*rest) for at, *rest in rows}

    # Parked events and lines

    def retrying_count(self, destination: int) -> int:
        """Events that were tried and failed, and will be tried again."""
        return int(self._one("SELECT count(*) FROM progress WHERE destination = ? AND code <> ''", (destination,)))

    def oldest_parked(self, partition: int) -> Offset | None:
        """The first parked event of all destinations whose bytes are in the log alone; None if there is none."""
        found = [next(self._db.execute(_OLDEST, (number, partition)), None) for number in self._with_parked()]
        return min((int(row[0]) for row in found if row is not None), default=None)

    def _with_parked(self) -> Iterator[int]:
        """Destinations, by one step in the index for each: events may be many."""
        number = self._one("SELECT min(destination) FROM parked", ())
        while number is not None:
            yield number
            number = self._one("SELECT min(destination) FROM parked WHERE destination > ?", (number,))

    def parked(self, destination: int, position: Position) -> Parked | None:
        query = f"SELECT {PARKED_COLUMNS} FROM parked WHERE destination = ? AND partition = ? AND offset = ?"  # noqa: S608
        row = self._first(query, (destination, *position))
        return None if row is None else parked_of(*row)

    def line(self, destination: int, key: Key, limit: int) -> list[Parked]:
        """The first of a parked line, in order."""
        query = (
            f"SELECT {PARKED_COLUMNS} FROM parked_lines CROSS JOIN parked USING(destination, partition, offset)"  # noqa: S608
            " WHERE destination = ? AND key = ? ORDER BY place LIMIT ?"
        )
        return [parked_of(*row) for row in self._db.execute(query, (destination, key_text(key), limit))]

    def parked_sizes(self, destination: int) -> Iterator[tuple[Key, int]]:
        """Every parked key, and how many events stand behind it."""
        query = "SELECT key, count(*) FROM parked_lines WHERE destination = ? GROUP BY key"
        return ((key_of(key), n) for key, n in self._db.execute(query, (destination,)))

    def parked_after(self, destination: int, partition: int, offset: Offset) -> set[Offset]:
        query = "SELECT offset FROM parked WHERE destination = ? AND partition = ? AND offset > ?"
        return {row[0] for row in self._db.execute(query, (destination, partition, offset))}

    def parked_count(self, destination: int) -> int:
        return int(self._one("SELECT count(*) FROM parked WHERE destination = ?", (destination,)))

    def oldest_arrival(self, destination: int) -> int | None:
        """When the oldest parked event was received (unix milliseconds); None if none is parked."""
        at: int | None = self._one("SELECT min(received_at) FROM parked WHERE destination = ?", (destination,))
        return at

    def parked_ending(self, destination: int) -> list[Parked]:
        """Those whose outcome was about to be written."""
        query = "SELECT partition, offset FROM parked WHERE destination = ? AND ending"
        positions = [Position(*row) for row in self._db.execute(query, (destination,))]
        return [parked for at in positions if (parked := self.parked(destination, at)) is not None]

    def parked_by_age(self, destination: int, after: Age, received_before: int, limit: int) -> list[Aged]:
        """Those that arrived before then (unix milliseconds), the oldest arrival first, behind `after`."""
        query = (
            "SELECT received_at, partition, offset, parked_at, resent, keys FROM parked WHERE destination = ?"
            " AND received_at < ? AND (received_at, partition, offset) > (?, ?, ?)"
            " ORDER BY received_at, partition, offset LIMIT ?"
        )
        rows = self._db.execute(query, (destination, received_before, *after, limit))
        return [Aged((at, p, o), parked_at, bool(resent), keys_of(keys)) for at, p, o, parked_at, resent, keys in rows]

    def head(self, destination: int, key: Key) -> Position | None:
        """The first of a parked line."""
        query = "SELECT partition, offset FROM parked_lines WHERE destination = ? AND key = ? ORDER BY place LIMIT 1"
        row = self._first(query, (destination, key_text(key)))
        return None if row is None else Position(*row)

    def places_of(self, destination: int, account: str) -> int:
        """How many places the lines of this account have, all together."""
        query = "SELECT count(*) FROM parked_lines WHERE destination = ? AND key >= ? AND key < ?"
        return sum(self._one(query, (destination, *between)) for between in keys_of_account(account))

    def stands_elsewhere(self, destination: int, keys: Collection[Key]) -> bool:
        """Whether anything is parked behind other keys than these."""
        known = [key_text(key) for key in keys]
        query = (
            "SELECT 1 FROM parked_lines WHERE destination = ?"  # noqa: S608 - only question marks are added
            f" AND key NOT IN ({','.join('?' * len(known))}) LIMIT 1"
        )
        return self._first(query, (destination, *known)) is not None

    def due_lines(self, destination: int, now: int, limit: int) -> list[Key]:
        """Lines to be looked after by now (unix milliseconds), the longest waiting first."""
        query = "SELECT key FROM parked_due WHERE destination = ? AND due_at <= ? ORDER BY due_at LIMIT ?"
        return [key_of(row[0]) for row in self._db.execute(query, (destination, now, limit))]

    def lines_aside(self, destination: int, account: str | None, limit: int) -> list[Key]:
        """Lines that wait until their account has room in memory; None: of any."""
        query = f"SELECT key FROM parked_due WHERE destination = ? AND due_at = {ASIDE}"  # noqa: S608
        if account is None:
            return [key_of(row[0]) for row in self._db.execute(f"{query} LIMIT ?", (destination, limit))]
        found: list[Key] = []
        for between in keys_of_account(account):
            rows = self._db.execute(f"{query} AND key >= ? AND key < ? LIMIT ?", (destination, *between, limit))
            found += [key_of(row[0]) for row in rows]
        return found[:limit]

    def next_due(self, destination: int) -> int | None:
        """When the next line is to be looked after; None if none is waiting for that."""
        due_at: int | None = self._one(
            "SELECT min(due_at) FROM parked_due WHERE destination = ? AND due_at < ?", (destination, ASIDE)
        )
        return due_at

    # Dead letters

    def dead(self, destination: int, position: Position) -> DeadLetter | None:
        return next(self._dead("destination = ? AND partition = ? AND offset = ?", (destination, *position)), None)

    def dead_after(self, destination: int, partition: int, offset: Offset) -> list[DeadLetter]:
        return list(self._dead("destination = ? AND partition = ? AND offset > ?", (destination, partition, offset)))

    def dead_letters(self, destination: int | None = None, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Oldest death first, from `after` (unix milliseconds, exclusive) on."""
        if destination is None:
            return list(self._dead("died_at > ? ORDER BY died_at LIMIT ?", (after, limit)))
        where = "destination = ? AND died_at > ? ORDER BY died_at LIMIT ?"
        return list(self._dead(where, (destination, after, limit)))

    def copies_of(self, users: Sequence[str]) -> Iterator[tuple[DeadLetter, str]]:
        """
        Events whose bytes are here, and as what: dead letters (DEAD), parked ones that were resent (PARKED), what was
        sent instead of one (EDITED). Those that may name one of these users: by userId, or as an alias.
        """
        mine = (
            "(CAST(stamp AS TEXT) ->> '$.user_id' IN (SELECT value FROM json_each(?))"
            ' OR instr(CAST(stamp AS TEXT), \'"type":"alias"\'))'
        )
        return self._copies(mine, (json.dumps(users),))

    def copies(self) -> Iterator[tuple[DeadLetter, str]]:
        """All of them."""
        return self._copies("TRUE", ())

    def _copies(self, which: str, args: tuple[str, ...]) -> Iterator[tuple[DeadLetter, str]]:
        for letter in self._dead(which, args):
            yield letter, DEAD
        columns = "destination, partition, offset, stamp, body"
        for table, kept in (("parked", PARKED), ("edited", EDITED)):
            if not self._has(table):
                continue
            query = f"SELECT {columns} FROM {table} WHERE stamp IS NOT NULL AND {which}"  # noqa: S608
            for destination, partition, offset, stamp, body in self._db.execute(query, args):
                yield (
                    DeadLetter(
                        destination=destination,
                        position=Position(partition, offset),
                        died_at=0,
                        code="",
                        reason="",
                        parts=frozenset(),
                        event=event_of(stamp, body),
                    ),
                    kept,
                )

    def dead_count(self, destination: int) -> int:
        return int(self._one("SELECT count(*) FROM dead WHERE destination = ?", (destination,)))

    def _dead(self, where: str, args: tuple[int | str, ...]) -> Iterator[DeadLetter]:
        query = f"SELECT * FROM dead WHERE {where}"  # noqa: S608 - the conditions stand above
        for destination, partition, offset, died_at, code, reason, parts, stamp, body in self._db.execute(query, args):
            yield DeadLetter(
                destination=destination,
                position=Position(partition, offset),
                died_at=died_at,
                code=code,
                reason=reason,
                parts=parts_of(parts),
                event=event_of(stamp, body),
            )

    def rows(self, query: str, args: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        """Of a query of somebody else's, such as milonga.delivery.parked_list."""
        return iter(self._db.execute(query, args))

    def _first(self, query: str, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return next(self._db.execute(query, args), None)

    def _one(self, query: str, args: tuple[Any, ...]) -> Any:
        return next(self._db.execute(query, args))[0]


def keys_of_account(account: str) -> list[tuple[str, str]]:
    """Between which texts its keys lie: from, and up to but without. Two if it can be spelt in two ways (key_text)."""
    spellings = sorted({key_text((account,))[:-1], json.dumps([account])[:-1]})
    return [(f"{begins},", f"{begins}^") for begins in spellings]


_HEALTH = Health.__struct_fields__
PARKED_COLUMNS = "partition, offset, parked_at, received_at, keys, resent, stamp, body"
_PROGRESS = "attempts, perhaps, next_at, not_before, code, reason, parts, since"
_OLDEST = "SELECT offset FROM parked WHERE destination = ? AND partition = ? AND body IS NULL ORDER BY offset LIMIT 1"


def _progress(
    attempts: int, perhaps: int, next_at: int, not_before: int, code: str, reason: str, parts: str, since: int | None
) -> Progress:
    return Progress(
        attempts=attempts,
        perhaps=perhaps,
        next_at=next_at,
        not_before=not_before,
        code=code,
        reason=reason,
        parts=parts_of(parts),
        failing_since=since or 0,
    )


def parked_of(
    partition: int,
    offset: Offset,
    parked_at: int,
    received_at: int,
    keys: str,
    resent: int,
    stamp: bytes | None,
    body: bytes,
) -> Parked:
    return Parked(
        position=Position(partition, offset),
        parked_at=parked_at,
        received_at=received_at,
        keys=keys_of(keys),
        resent=bool(resent),
        event=None if stamp is None else event_of(stamp, body),
    )
