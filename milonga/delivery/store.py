"""
What delivery must remember across a restart besides outcomes: `<data>/delivery.db`, written by the delivery process
alone. Positions of the readers, progress of what failed at least once, parked lines, dead letters.

Outcomes live in files of their own (milonga.outcomes.files), and the two kinds of file do not commit together. The
order makes a crash between them harmless:

1. what an outcome rests on (a dead letter, a place among the parked, a part delivered) is committed here first;
2. then the outcomes;
3. what an outcome makes dead (a parked place, a progress row, an older position) goes with a later commit here. A
   restart that still finds such a row sees the outcome beside it and drops the row.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from milonga.destinations.contract import Key
from milonga.eventlog.api import Offset, Position
from milonga.spec.stored import Stamp, Stamped

SCHEMA_VERSION: Final = 1
NEVER: Final = 2**62  #: a line with this due time is looked after in memory
SCHEMA: Final = """
CREATE TABLE positions(
  destination INTEGER, partition INTEGER, watermark INTEGER NOT NULL,
  PRIMARY KEY(destination, partition)) WITHOUT ROWID;
CREATE TABLE progress(
  destination INTEGER, partition INTEGER, offset INTEGER,
  attempts INTEGER NOT NULL, perhaps INTEGER NOT NULL, next_at INTEGER NOT NULL,
  code TEXT NOT NULL, reason TEXT NOT NULL, parts TEXT NOT NULL,
  PRIMARY KEY(destination, partition, offset)) WITHOUT ROWID;
CREATE TABLE parked(
  destination INTEGER, partition INTEGER, offset INTEGER,
  parked_at INTEGER NOT NULL, received_at INTEGER NOT NULL, keys TEXT NOT NULL, resent INTEGER NOT NULL,
  stamp BLOB, body BLOB,
  PRIMARY KEY(destination, partition, offset)) WITHOUT ROWID;
CREATE INDEX parked_by_age ON parked(destination, received_at);
CREATE TABLE parked_lines(
  destination INTEGER, key TEXT, place INTEGER, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
  PRIMARY KEY(destination, key, place)) WITHOUT ROWID;
CREATE TABLE parked_due(
  destination INTEGER, key TEXT, due_at INTEGER NOT NULL,
  PRIMARY KEY(destination, key)) WITHOUT ROWID;
CREATE INDEX parked_due_first ON parked_due(destination, due_at);
CREATE TABLE dead(
  destination INTEGER, partition INTEGER, offset INTEGER,
  died_at INTEGER NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, parts TEXT NOT NULL,
  stamp BLOB NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY(destination, partition, offset)) WITHOUT ROWID;
"""


class Progress(Struct, frozen=True, kw_only=True):
    """
    An event that is not finished although it was tried.

    attempts  answers that counted
    perhaps   attempts after which the receiver may have it although no answer came
    next_at   unix milliseconds: not before
    code, reason  of the last failure
    parts     names of its requests that were delivered
    """

    attempts: int = 0
    perhaps: int = 0
    next_at: int = 0
    code: str = ""
    reason: str = ""
    parts: frozenset[str] = frozenset()


class Parked(Struct, frozen=True, kw_only=True):
    """
    event   its bytes if they were copied here; None: read them from the log
    resent  True for a dead letter that was sent again: it joined at the end of its lines
    """

    position: Position
    parked_at: int
    received_at: int
    keys: tuple[Key, ...]
    resent: bool
    event: Stamped | None


class DeadLetter(Struct, frozen=True, kw_only=True):
    """
    parts  names of its requests that had been delivered before; a resend leaves them out
    event  a copy: a dead letter outlives the log
    """

    destination: int
    position: Position
    died_at: int
    code: str
    reason: str
    parts: frozenset[str]
    event: Stamped


class NewerStore(Exception):
    """The file was written by a version of Milonga that this one cannot read. Nothing was changed."""


class DeliveryStore:
    """
    Single-threaded. The methods that write are to be called within `with store.transaction():`, which is durable when
    it ends.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = apsw.Connection(str(path))
        path.chmod(0o600)
        self._db.set_busy_timeout(5_000)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 16777216"):
            self._db.execute(f"PRAGMA {pragma}")
        version = _one(self._db, "PRAGMA user_version")[0]
        if version == 0:
            with self._db:
                self._db.execute(SCHEMA)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise NewerStore(
                f"{path} was written by another version of Milonga (format {version}, this one knows"
                f" {SCHEMA_VERSION}). Run that version, or restore a backup."
            )

        self._place: int = _one(self._db, "SELECT ifnull(max(place), 0) FROM parked_lines")[0]

    def transaction(self) -> apsw.Connection:
        return self._db

    def close(self) -> None:
        self._db.close()

    # Positions

    def set_position(self, destination: int, partition: int, watermark: Offset) -> None:
        self._db.execute("INSERT OR REPLACE INTO positions VALUES(?,?,?)", (destination, partition, watermark))

    def forget(self, destination: int) -> None:
        """Everything of a removed destination."""
        for table in ("positions", "progress", "parked", "parked_lines", "parked_due", "dead"):
            self._db.execute(f"DELETE FROM {table} WHERE destination = ?", (destination,))  # noqa: S608

    # Progress

    def set_progress(self, destination: int, position: Position, p: Progress) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO progress VALUES(?,?,?,?,?,?,?,?,?)",
            (destination, *position, p.attempts, p.perhaps, p.next_at, p.code, p.reason, _parts_text(p.parts)),
        )

    def drop_progress(self, destination: int, position: Position) -> None:
        self._db.execute(
            "DELETE FROM progress WHERE destination = ? AND partition = ? AND offset = ?", (destination, *position)
        )

    # Parked lines

    def park(self, destination: int, parked: Parked, due_at: int) -> None:
        """
        Join the end of its lines. Those of its lines that nobody looked after are looked at again at `due_at`
        (unix milliseconds).
        """
        event = parked.event
        self._db.execute(
            "INSERT OR REPLACE INTO parked VALUES(?,?,?,?,?,?,?,?,?)",
            (
                destination,
                *parked.position,
                parked.parked_at,
                parked.received_at,
                msgspec.json.encode(parked.keys).decode(),
                parked.resent,
                None if event is None else msgspec.json.encode(event.stamp),
                None if event is None else event.body,
            ),
        )
        for key in parked.keys:
            self._place += 1
            row = (destination, key_text(key), self._place, *parked.position)
            self._db.execute("INSERT INTO parked_lines VALUES(?,?,?,?,?)", row)
            self._db.execute("INSERT OR IGNORE INTO parked_due VALUES(?,?,?)", (*row[:2], due_at))

    def unpark(self, destination: int, position: Position, keys: tuple[Key, ...]) -> None:
        self._db.execute(
            "DELETE FROM parked WHERE destination = ? AND partition = ? AND offset = ?", (destination, *position)
        )
        for key in keys:
            self._db.execute(
                "DELETE FROM parked_lines WHERE destination = ? AND key = ? AND partition = ? AND offset = ?",
                (destination, key_text(key), *position),
            )

    def look_again(self, destination: int, key: Key, due_at: int) -> None:
        """Look after this line at `due_at` (unix milliseconds); NEVER while it is looked after."""
        self._db.execute("INSERT OR REPLACE INTO parked_due VALUES(?,?,?)", (destination, key_text(key), due_at))

    def hurry(self, destination: int, now: int) -> None:
        """The destination is back: look at all waiting lines, and try again whatever waits, now."""
        self._db.execute("UPDATE progress SET next_at = 0 WHERE destination = ?", (destination,))
        self._db.execute(
            "UPDATE parked_due SET due_at = ? WHERE destination = ? AND due_at < ?", (now, destination, NEVER)
        )

    def look_at_all(self, destination: int, now: int) -> None:
        """After a restart nobody looks after any line."""
        self._db.execute("UPDATE parked_due SET due_at = ? WHERE destination = ?", (now, destination))

    def end_line(self, destination: int, key: Key) -> None:
        """Nothing is parked behind this key any more."""
        self._db.execute("DELETE FROM parked_due WHERE destination = ? AND key = ?", (destination, key_text(key)))

    def copy_event(self, destination: int, position: Position, event: Stamped) -> None:
        """Keep the bytes of a parked event: the log is about to let them go."""
        self._db.execute(
            "UPDATE parked SET stamp = ?, body = ? WHERE destination = ? AND partition = ? AND offset = ?",
            (msgspec.json.encode(event.stamp), event.body, destination, *position),
        )

    # Dead letters

    def add_dead(self, letter: DeadLetter) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO dead VALUES(?,?,?,?,?,?,?,?,?)",
            (
                letter.destination,
                *letter.position,
                letter.died_at,
                letter.code,
                letter.reason,
                _parts_text(letter.parts),
                msgspec.json.encode(letter.event.stamp),
                letter.event.body,
            ),
        )

    def remove_dead(self, destination: int, position: Position) -> None:
        self._db.execute(
            "DELETE FROM dead WHERE destination = ? AND partition = ? AND offset = ?", (destination, *position)
        )


class DeliveryReader:
    """The committed state of a DeliveryStore, for this process or another. Short reads only."""

    def __init__(self, path: Path) -> None:
        self._db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._db.set_busy_timeout(5_000)

    def close(self) -> None:
        self._db.close()

    def position(self, destination: int, partition: int) -> Offset | None:
        query = "SELECT watermark FROM positions WHERE destination = ? AND partition = ?"
        row = _first(self._db, query, (destination, partition))
        return None if row is None else row[0]

    def progress(self, destination: int, position: Position) -> Progress | None:
        query = (
            "SELECT attempts, perhaps, next_at, code, reason, parts FROM progress"
            " WHERE destination = ? AND partition = ? AND offset = ?"
        )
        row = _first(self._db, query, (destination, *position))
        return None if row is None else _progress(*row)

    def progress_after(self, destination: int, partition: int, offset: Offset) -> dict[Offset, Progress]:
        query = (
            "SELECT offset, attempts, perhaps, next_at, code, reason, parts FROM progress"
            " WHERE destination = ? AND partition = ? AND offset > ?"
        )
        rows = self._db.execute(query, (destination, partition, offset))
        return {at: _progress(*rest) for at, *rest in rows}

    def watermarks(self, partition: int) -> list[Offset]:
        """Of every destination that reads this partition."""
        rows = self._db.execute("SELECT watermark FROM positions WHERE partition = ?", (partition,))
        return [row[0] for row in rows]

    def parked(self, destination: int, position: Position) -> Parked | None:
        query = (
            "SELECT parked_at, received_at, keys, resent, stamp, body FROM parked"
            " WHERE destination = ? AND partition = ? AND offset = ?"
        )
        row = _first(self._db, query, (destination, *position))
        if row is None:
            return None
        parked_at, received_at, keys, resent, stamp, body = row
        return Parked(
            position=position,
            parked_at=parked_at,
            received_at=received_at,
            keys=msgspec.json.decode(keys, type=tuple[Key, ...]),
            resent=bool(resent),
            event=None if stamp is None else Stamped(msgspec.json.decode(stamp, type=Stamp), body),
        )

    def parked_sizes(self, destination: int) -> dict[Key, int]:
        """Every parked key, and how many events stand behind it."""
        query = "SELECT key, count(*) FROM parked_lines WHERE destination = ? GROUP BY key"
        return {msgspec.json.decode(key, type=Key): n for key, n in self._db.execute(query, (destination,))}

    def parked_after(self, destination: int, partition: int, offset: Offset) -> set[Offset]:
        query = "SELECT offset FROM parked WHERE destination = ? AND partition = ? AND offset > ?"
        return {row[0] for row in self._db.execute(query, (destination, partition, offset))}

    def parked_count(self, destination: int) -> int:
        return int(_one(self._db, "SELECT count(*) FROM parked WHERE destination = ?", (destination,))[0])

    def parked_older(self, destination: int, received_before: int, limit: int) -> list[Position]:
        query = "SELECT partition, offset FROM parked WHERE destination = ? AND received_at < ? LIMIT ?"
        return [Position(*row) for row in self._db.execute(query, (destination, received_before, limit))]

    def head(self, destination: int, key: Key) -> Position | None:
        """The first of a parked line."""
        query = "SELECT partition, offset FROM parked_lines WHERE destination = ? AND key = ? ORDER BY place LIMIT 1"
        row = _first(self._db, query, (destination, key_text(key)))
        return None if row is None else Position(*row)

    def due_lines(self, destination: int, now: int, limit: int) -> list[Key]:
        """Lines to be looked after by now (unix milliseconds), the longest waiting first."""
        query = "SELECT key FROM parked_due WHERE destination = ? AND due_at <= ? ORDER BY due_at LIMIT ?"
        return [msgspec.json.decode(row[0], type=Key) for row in self._db.execute(query, (destination, now, limit))]

    def next_due(self, destination: int) -> int | None:
        """When the next line is to be looked after; None if none is waiting for that."""
        query = "SELECT min(due_at) FROM parked_due WHERE destination = ? AND due_at < ?"
        return _one(self._db, query, (destination, NEVER))[0]  # type: ignore[no-any-return]

    def dead(self, destination: int, position: Position) -> DeadLetter | None:
        found = list(self._dead("destination = ? AND partition = ? AND offset = ?", (destination, *position)))
        return found[0] if found else None

    def dead_letters(self, destination: int | None = None, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Oldest death first, from `after` (unix milliseconds, exclusive) on."""
        if destination is None:
            return list(self._dead("died_at > ? ORDER BY died_at LIMIT ?", (after, limit)))
        where = "destination = ? AND died_at > ? ORDER BY died_at LIMIT ?"
        return list(self._dead(where, (destination, after, limit)))

    def dead_count(self, destination: int) -> int:
        return int(_one(self._db, "SELECT count(*) FROM dead WHERE destination = ?", (destination,))[0])

    def _dead(self, where: str, args: tuple[int, ...]) -> Iterator[DeadLetter]:
        query = f"SELECT * FROM dead WHERE {where}"  # noqa: S608 - the conditions stand above
        for destination, partition, offset, died_at, code, reason, parts, stamp, body in self._db.execute(query, args):
            yield DeadLetter(
                destination=destination,
                position=Position(partition, offset),
                died_at=died_at,
                code=code,
                reason=reason,
                parts=frozenset(msgspec.json.decode(parts)),
                event=Stamped(msgspec.json.decode(stamp, type=Stamp), body),
            )


def key_text(key: Key) -> str:
    """A key as it stands in the file: `["acme","ada"]`."""
    return msgspec.json.encode(key).decode()


def _parts_text(parts: frozenset[str]) -> str:
    return msgspec.json.encode(sorted(parts)).decode()


def _progress(attempts: int, perhaps: int, next_at: int, code: str, reason: str, parts: str) -> Progress:
    return Progress(
        attempts=attempts,
        perhaps=perhaps,
        next_at=next_at,
        code=code,
        reason=reason,
        parts=frozenset(msgspec.json.decode(parts)),
    )


def _first(db: apsw.Connection, query: str, args: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
    return next(db.execute(query, args), None)


def _one(db: apsw.Connection, query: str, args: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    row = _first(db, query, args)
    assert row is not None, query  # noqa: S101 - an aggregate always has a row
    return row
