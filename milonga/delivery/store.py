"""
What delivery must remember across a restart besides outcomes: `<data>/delivery.db`, written by the delivery process
alone, read through milonga.delivery.store_reader. Positions of the readers, progress of what failed at least once,
parked lines, dead letters, the health of each destination.

Outcomes live in files of their own (milonga.outcomes.files), and the two kinds of file do not commit together. The
order makes a crash between them harmless:

1. what an outcome rests on (a dead letter, a place among the parked, a part delivered) is committed here first, and a
   parked event that is about to end is marked;
2. then the outcomes;
3. what an outcome makes dead (a parked place, a progress row, an older position) goes with a later commit here. A
   restart that still finds such a row sees the outcome beside it and drops the row.
"""

from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import structlog

from milonga.delivery import backlog_rows, clock_rows, edited_rows, replay_rows
from milonga.delivery.backlog_rows import BacklogTable
from milonga.delivery.clock_rows import ClockTables
from milonga.delivery.edited_rows import EditedTable
from milonga.delivery.replay_rows import ReplayTables
from milonga.delivery.rows import (
    ASIDE,
    NEVER,
    DeadLetter,
    DetourRow,
    Health,
    InForce,
    Parked,
    Progress,
    key_text,
    keys_text,
    parts_text,
    stamp_bytes,
)
from milonga.destinations.contract import Key
from milonga.eventlog.api import Offset, Position
from milonga.eventlog.aside import DAMAGED, set_aside
from milonga.eventlog.folders import make_folder
from milonga.eventlog.wal import tell_lost
from milonga.outcomes.erasing import empty_wal
from milonga.outcomes.files import PRAGMAS
from milonga.spec.stored import Stamped
from milonga.spec.text import well_formed

SCHEMA_VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE positions(
  destination INTEGER, partition INTEGER, watermark INTEGER NOT NULL,
  PRIMARY KEY(destination, partition)) WITHOUT ROWID;
CREATE TABLE progress(
  destination INTEGER, partition INTEGER, offset INTEGER,
  attempts INTEGER NOT NULL, perhaps INTEGER NOT NULL, next_at INTEGER NOT NULL, not_before INTEGER NOT NULL,
  code TEXT NOT NULL, reason TEXT NOT NULL, parts TEXT NOT NULL,
  PRIMARY KEY(destination, partition, offset)) WITHOUT ROWID;
CREATE TABLE parked(
  destination INTEGER, partition INTEGER, offset INTEGER,
  parked_at INTEGER NOT NULL, received_at INTEGER NOT NULL, keys TEXT NOT NULL, resent INTEGER NOT NULL,
  ending INTEGER NOT NULL, stamp BLOB, body BLOB,
  PRIMARY KEY(destination, partition, offset)) WITHOUT ROWID;
CREATE INDEX parked_by_age ON parked(destination, received_at);
CREATE INDEX parked_ending ON parked(destination) WHERE ending;
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
LATER: Final = f"""
CREATE TABLE IF NOT EXISTS health(
  destination INTEGER PRIMARY KEY, at INTEGER NOT NULL, breaker TEXT NOT NULL, breaker_until INTEGER,
  last_delivered_at INTEGER,
  last_failure_at INTEGER, last_failure_code TEXT NOT NULL, last_failure_reason TEXT NOT NULL,
  waiting INTEGER NOT NULL, oldest_waiting_at INTEGER);
CREATE TABLE IF NOT EXISTS in_force(
  destination INTEGER PRIMARY KEY, settings_version INTEGER NOT NULL, state_at INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS detours(
  destination INTEGER, partition INTEGER, leader TEXT,
  after INTEGER NOT NULL, upto INTEGER, begins TEXT NOT NULL, unread INTEGER NOT NULL, counted INTEGER NOT NULL,
  PRIMARY KEY(destination, partition, leader)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failing(
  destination INTEGER, partition INTEGER, offset INTEGER, since INTEGER NOT NULL,
  PRIMARY KEY(destination, partition, offset)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dead_by_age ON dead(died_at);
CREATE INDEX IF NOT EXISTS dead_of_destination ON dead(destination, died_at);
CREATE INDEX IF NOT EXISTS dead_by_code ON dead(destination, code, died_at);
CREATE INDEX IF NOT EXISTS parked_due_aside ON parked_due(destination, key) WHERE due_at = {ASIDE};
"""  # came after the first files of this version


FORGOTTEN: Final = (
    "positions", "progress", "failing", "parked", "parked_lines", "parked_due", "dead", "edited",
    "health", "in_force", "detours", "backlog",
)  # fmt: skip
"""Tables that hold something of a destination."""

QUICK: Final = 64 * 1024 * 1024  #: bytes: a file up to this size is looked through at every start

log = structlog.get_logger("milonga.delivery")


class NewerStore(Exception):
    """The file was written by a version of Milonga that this one cannot read. Nothing was changed."""


def doubt(path: Path) -> Path:
    """A file that is there if a page of the store could not be read: the next start looks through all of it."""
    return path.with_name(f"{path.name}.doubt")


class DeliveryStore:
    """
    Single-threaded. The methods that write are to be called within `with store.transaction():`, which is durable when
    it ends. A file that is damaged is set aside when it is opened, and a new one begun.
    """

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        try:
            self._open(path)
        except DAMAGED as error:
            self._db.close()
            aside = set_aside(path)
            log.error(
                "delivery.store_damaged",
                file=str(path),
                set_aside=aside.name,
                error=str(error),
                lost="positions, dead letters, parked lines: every destination reads the log from where it was switched"
                " on; what has an outcome is not sent again",
            )
            self._open(path)
        doubt(path).unlink(missing_ok=True)

    def _open(self, path: Path) -> None:
        self._db = apsw.Connection(str(path))
        path.chmod(0o600)
        self._db.set_busy_timeout(5_000)
        for pragma in (*PRAGMAS, "secure_delete = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        version = self._db.pragma("user_version")
        tell_lost(path, self._db, "the newest dead letters and tries; what has an outcome is not sent again")
        if version == 0:
            with self._db:
                self._db.execute(SCHEMA)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise NewerStore(
                f"{path} was written by another version of Milonga (format {version}, this one knows"
                f" {SCHEMA_VERSION}). Run that version, or restore a backup."
            )
        self._db.execute(LATER)
        self._db.execute(replay_rows.TABLES + edited_rows.TABLE + clock_rows.TABLES + backlog_rows.TABLE)
        self.replays, self.edited, self.clock = ReplayTables(self._db), EditedTable(self._db), ClockTables(self._db)
        self.backlog = BacklogTable(self._db)
        if path.stat().st_size <= QUICK or doubt(path).exists():
            (said,) = next(self._db.execute("PRAGMA quick_check(1)"))
            if said != "ok":
                raise apsw.CorruptError(said)
        self._place: int = next(self._db.execute("SELECT ifnull(max(place), 0) FROM parked_lines"))[0]

    def transaction(self) -> apsw.Connection:
        return self._db

    def close(self) -> None:
        self._db.close()

    # Positions

    def set_position(self, destination: int, partition: int, watermark: Offset) -> None:
        self._db.execute("INSERT OR REPLACE INTO positions VALUES(?,?,?)", (destination, partition, watermark))

    def destinations(self) -> list[int]:
        """Ids of those that have a position."""
        return [int(number) for (number,) in list[Any](self._db.execute("SELECT DISTINCT destination FROM positions"))]

    def compact(self) -> None:
        """
        Nothing of what was deleted is left in the file or its write-ahead log. Not within a transaction; takes as long
        as writing the file does. apsw.BusyError if somebody reads it all the time.
        """
        self._db.execute("VACUUM")
        empty_wal(self._db)

    def forget(self, destination: int) -> None:
        """Everything of a removed destination."""
        for table in FORGOTTEN:
            self._db.execute(f"DELETE FROM {table} WHERE destination = ?", (destination,))  # noqa: S608
        self.replays.forget(destination)

    def set_in_force(self, destination: int, now: InForce) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO in_force VALUES(?,?,?,?)",
            (destination, now.settings_version, now.state_at, now.at),
        )

    def set_health(self, destination: int, h: Health) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO health VALUES(?,?,?,?,?,?,?,?,?,?)",
            (
                destination,
                h.at,
                h.breaker,
                h.breaker_until,
                h.last_delivered_at,
                h.last_failure_at,
                well_formed(h.last_failure_code),
                well_formed(h.last_failure_reason),
                h.waiting,
                h.oldest_waiting_at,
            ),
        )

    def set_detour(self, destination: int, partition: int, row: DetourRow) -> None:
        begins = msgspec.json.encode(row.begins).decode()
        self._db.execute(
            "INSERT OR REPLACE INTO detours VALUES(?,?,?,?,?,?,?,?)",
            (destination, partition, row.leader, row.after, row.upto, begins, row.unread, row.counted),
        )

    def drop_detour(self, destination: int, partition: int, leader: str) -> None:
        self._db.execute(
            "DELETE FROM detours WHERE destination = ? AND partition = ? AND leader = ?",
            (destination, partition, leader),
        )

    # Progress

    def set_progress(self, destination: int, position: Position, p: Progress) -> None:
        failure = (well_formed(p.code), well_formed(p.reason), parts_text(p.parts))
        self._db.execute(
            "INSERT OR REPLACE INTO progress VALUES(?,?,?,?,?,?,?,?,?,?)",
            (destination, *position, p.attempts, p.perhaps, p.next_at, p.not_before, *failure),
        )
        if p.failing_since:
            self._db.execute(
                "INSERT OR REPLACE INTO failing VALUES(?,?,?,?)", (destination, *position, p.failing_since)
            )
        else:
            self._drop("failing", destination, position)

    def drop_progress(self, destination: int, position: Position) -> None:
        for table in ("progress", "failing"):
            self._drop(table, destination, position)

    def _drop(self, table: str, destination: int, position: Position) -> None:
        self._db.execute(
            f"DELETE FROM {table} WHERE destination = ? AND partition = ? AND offset = ?",  # noqa: S608
            (destination, *position),
        )

    def drop_old_progress(self, destination: int, partition: int, watermark: Offset) -> None:
        """A crash may have come between an outcome and this."""
        for table in ("progress", "failing"):
            self._db.execute(
                f"DELETE FROM {table} WHERE destination = ?1 AND partition = ?2 AND offset <= ?3"  # noqa: S608
                " AND offset NOT IN (SELECT offset FROM parked WHERE destination = ?1 AND partition = ?2)",
                (destination, partition, watermark),
            )

    # Parked lines

    def park(self, destination: int, parked: Parked) -> None:
        """Join the end of its lines. Who parks looks after them (`look_again`)."""
        event = parked.event
        self._db.execute(
            "INSERT OR REPLACE INTO parked VALUES(?,?,?,?,?,?,?,0,?,?)",
            (
                destination,
                *parked.position,
                parked.parked_at,
                parked.received_at,
                keys_text(parked.keys),
                parked.resent,
                None if event is None else stamp_bytes(event),
                None if event is None else event.body,
            ),
        )
        for key in parked.keys:
            self._place += 1
            row = (destination, key_text(key), self._place, *parked.position)
            self._db.execute("INSERT INTO parked_lines VALUES(?,?,?,?,?)", row)
            self._db.execute("INSERT OR IGNORE INTO parked_due VALUES(?,?,?)", (*row[:2], NEVER))

    def edit_parked(self, destination: int, position: Position, event: Stamped) -> None:
        """This goes out instead, from the same place; it is tried as if it had just come, but for a Retry-After."""
        at = (destination, *position)
        where = "destination = ? AND partition = ? AND offset = ?"
        self._db.execute(
            f"UPDATE parked SET stamp = ?, body = ? WHERE {where}",  # noqa: S608 - three columns
            (stamp_bytes(event), event.body, *at),
        )
        fresh = "next_at = 0, attempts = 0, code = '', reason = ''"
        self._db.execute(f"UPDATE progress SET {fresh} WHERE {where}", at)  # noqa: S608
        self._db.execute(f"DELETE FROM failing WHERE {where}", at)  # noqa: S608

    def mark_ending(self, destination: int, position: Position) -> None:
        """Its outcome is written next: after a crash, look whether it was."""
        self._db.execute(
            "UPDATE parked SET ending = 1 WHERE destination = ? AND partition = ? AND offset = ?",
            (destination, *position),
        )

    def unpark(self, destination: int, position: Position, keys: tuple[Key, ...]) -> None:
        """Leave its lines. Nobody has to look after a line in which nothing stands."""
        self._db.execute(
            "DELETE FROM parked WHERE destination = ? AND partition = ? AND offset = ?", (destination, *position)
        )
        for key in keys:
            self._db.execute(
                "DELETE FROM parked_lines WHERE destination = ? AND key = ? AND partition = ? AND offset = ?",
                (destination, key_text(key), *position),
            )
            self._db.execute(
                "DELETE FROM parked_due WHERE destination = ?1 AND key = ?2"
                " AND NOT EXISTS (SELECT 1 FROM parked_lines WHERE destination = ?1 AND key = ?2)",
                (destination, key_text(key)),
            )

    def drop_parked(self, destination: int, position: Position) -> None:
        """Of a destination that does not work: nobody asks for its lines."""
        where = "destination = ? AND partition = ? AND offset = ?"
        self._db.execute(f"DELETE FROM parked_lines WHERE {where}", (destination, *position))  # noqa: S608
        self._db.execute(f"DELETE FROM parked WHERE {where}", (destination, *position))  # noqa: S608

    def forget_words(self, destination: int) -> None:
        """What the receiver said last."""
        self._db.execute("UPDATE health SET last_failure_reason = '' WHERE destination = ?", (destination,))

    def look_again(self, destination: int, key: Key, due_at: int) -> None:
        """
        Look after this line, if there still is one, at `due_at` (unix milliseconds); NEVER while it is in memory, ASIDE
        while its account has its share there.
        """
        self._db.execute(
            "UPDATE parked_due SET due_at = ? WHERE destination = ? AND key = ?", (due_at, destination, key_text(key))
        )

    def hurry(self, destination: int, now: int) -> None:
        """The destination is back: look at all waiting lines, and wait no longer than the receiver asked."""
        self._db.execute("UPDATE progress SET next_at = not_before WHERE destination = ?", (destination,))
        self._db.execute(
            "UPDATE parked_due SET due_at = ? WHERE destination = ? AND due_at < ?", (now, destination, NEVER)
        )

    def look_at_all(self, destination: int, now: int) -> None:
        """After a restart nobody looks after any line."""
        self._db.execute("UPDATE parked_due SET due_at = ? WHERE destination = ?", (now, destination))

    # Dead letters

    def add_dead(self, letter: DeadLetter) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO dead VALUES(?,?,?,?,?,?,?,?,?)",
            (
                letter.destination,
                *letter.position,
                letter.died_at,
                well_formed(letter.code),
                well_formed(letter.reason),
                parts_text(letter.parts),
                stamp_bytes(letter.event),
                letter.event.body,
            ),
        )

    def drop_dead(self, before: int) -> int:
        """Those that died before then (unix milliseconds); how many."""
        changes = self._db.total_changes()
        self._db.execute("DELETE FROM dead WHERE died_at < ?", (before,))
        return self._db.total_changes() - changes

    def remove_dead(self, destination: int, position: Position) -> None:
        self._db.execute(
            "DELETE FROM dead WHERE destination = ? AND partition = ? AND offset = ?", (destination, *position)
        )
