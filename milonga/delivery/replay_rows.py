"""
What delivery remembers of replays, in its own tables of `<data>/delivery.db`: what was asked for, how far it has come,
which of its events are on their way, and what became of the others. Written in the transactions of
milonga.delivery.store, so that a position and the events it has passed are one commit.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from milonga.delivery.rows import key_of, key_text
from milonga.delivery.selection import Selection
from milonga.destinations.contract import Key
from milonga.destinations.http import MASK
from milonga.eventlog.api import Offset, Position
from milonga.spec.text import well_formed

TABLES: Final = """
CREATE TABLE IF NOT EXISTS replays(
  id INTEGER PRIMARY KEY, destination INTEGER NOT NULL, asked_at INTEGER NOT NULL, asked_by TEXT NOT NULL,
  wanted TEXT NOT NULL, rate REAL NOT NULL, overwrite INTEGER NOT NULL,
  state TEXT NOT NULL, reason TEXT NOT NULL, ended_at INTEGER, gone INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS replay_positions(
  replay INTEGER, partition INTEGER, after INTEGER NOT NULL, upto INTEGER NOT NULL,
  PRIMARY KEY(replay, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replay_counts(
  replay INTEGER, state TEXT, code TEXT, n INTEGER NOT NULL,
  PRIMARY KEY(replay, state, code)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replayed(
  destination INTEGER, partition INTEGER, offset INTEGER, replay INTEGER NOT NULL, left_out TEXT NOT NULL,
  PRIMARY KEY(destination, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS filed(
  destination INTEGER, partition INTEGER, offset INTEGER, replay INTEGER NOT NULL, at INTEGER NOT NULL,
  account BLOB NOT NULL, PRIMARY KEY(destination, partition, offset)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS filed_by_account ON filed(account, partition, offset);
"""

KEPT: Final = 1_000  #: replays of all destinations that are remembered

Counts = Mapping[tuple[str, str], int]
"""(what became of an event, code) -> how many. Beside the final states: `left`, of what the replay passed by."""


class ReplayState(StrEnum):
    running = "running"
    paused = "paused"  #: by hand
    done = "done"
    stopped = "stopped"
    failed = "failed"


GOES_ON: Final = (ReplayState.running, ReplayState.paused)


class Replay(Struct, frozen=True, kw_only=True):
    """
    id         of the command that asked for it
    asked_at   unix milliseconds
    by         who: "cli"
    wanted     which events
    rate       events a second, at most
    overwrite  whether it sends what newer events have set
    reason     why it is not running, in words; ""
    ended_at   unix milliseconds; None while it goes on
    gone       offsets that had left the log when it came to them
    """

    id: int
    destination: int
    asked_at: int
    by: str
    wanted: Selection
    rate: float
    overwrite: bool
    state: ReplayState = ReplayState.running
    reason: str = ""
    ended_at: int | None = None
    gone: int = 0


class Way(Struct, frozen=True):
    """How far a replay has come in one partition: `after` is done or on its way, `upto` its last offset."""

    after: Offset
    upto: Offset


class Joined(Struct, frozen=True):
    """
    An event on its way for a replay.

    left_out  what it would set, if newer events had not
    """

    replay: int
    left_out: frozenset[Key] = frozenset()


class Filed(Struct, frozen=True):
    """
    Under which account a replay sent an event that names none (milonga.delivery.filing).

    at  unix milliseconds: when it was sent on its way
    """

    replay: int
    at: int
    account: str


class ReplayTables:
    """The writing half: within a transaction of the store."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def begin(self, r: Replay) -> None:
        """Once: a second time changes nothing."""
        self._db.execute(
            "INSERT OR IGNORE INTO replays VALUES(?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(r.id, r.destination, r.asked_at, r.by, _encode(r.wanted), r.rate, r.overwrite),
                *(r.state.value, r.reason, r.ended_at, r.gone),
            ),
        )

    def set_way(self, replay: int, partition: int, way: Way) -> None:
        self._db.execute("INSERT OR REPLACE INTO replay_positions VALUES(?,?,?,?)", (replay, partition, *_pair(way)))

    def advance(self, replay: int, partition: int, after: Offset, counts: Counts, gone: int = 0) -> None:
        """Events up to here are on their way, or counted among these."""
        self._db.execute(
            "UPDATE replay_positions SET after = max(after, ?) WHERE replay = ? AND partition = ?",
            (after, replay, partition),
        )
        if gone:
            self._db.execute("UPDATE replays SET gone = gone + ? WHERE id = ?", (gone, replay))
        for (state, code), n in counts.items():
            self._count(replay, state, code, n)

    def join(self, destination: int, position: Position, joined: Joined) -> None:
        left_out = msgspec.json.encode([key_text(key) for key in sorted(joined.left_out)]).decode()
        self._db.execute(
            "INSERT OR REPLACE INTO replayed VALUES(?,?,?,?,?)", (destination, *position, joined.replay, left_out)
        )

    def file(self, destination: int, position: Position, filed: Filed) -> None:
        """Instead of what was there before."""
        self._db.execute(
            "INSERT OR REPLACE INTO filed VALUES(?,?,?,?,?,?)",
            (destination, *position, filed.replay, filed.at, _bytes(filed.account)),
        )

    def drop_filed(self, destination: int, position: Position) -> None:
        self._db.execute(
            "DELETE FROM filed WHERE destination = ? AND partition = ? AND offset = ?", (destination, *position)
        )

    def drop_old(self, before: int) -> None:
        """What was filed before then (unix milliseconds): nothing tells of those events any more."""
        self._db.execute("DELETE FROM filed WHERE at < ?", (before,))

    def leave(self, destination: int, position: Position, replay: int, state: str, code: str) -> None:
        """It has ended."""
        self._db.execute(
            "DELETE FROM replayed WHERE destination = ? AND partition = ? AND offset = ?", (destination, *position)
        )
        self._count(replay, state, code, 1)

    def set_state(self, replay: int, state: ReplayState, reason: str, at: int) -> None:
        """One that has ended stays as it is."""
        ended_at = None if state in GOES_ON else at
        self._db.execute(
            "UPDATE replays SET state = ?, reason = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL",
            (state.value, well_formed(reason), ended_at, replay),
        )
        old: Iterable[tuple[Any, ...]] = self._db.execute(
            "SELECT id FROM replays WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT -1 OFFSET ?", (KEPT,)
        ).fetchall()
        for (number,) in old:
            self._forget(number)

    def forget_users(self, users: Collection[str], at: int) -> None:
        """Those who are deleted: no replay says that it was for them, and one that goes on ends."""
        rows: Iterable[tuple[Any, ...]] = self._db.execute("SELECT id, wanted FROM replays").fetchall()
        for replay, text in rows:
            wanted = msgspec.json.decode(text, type=Selection)
            if wanted.user in users:
                self.set_state(replay, ReplayState.stopped, "The user it was for was deleted.", at)
                masked = _encode(replace(wanted, user=MASK))
                self._db.execute("UPDATE replays SET wanted = ? WHERE id = ?", (masked, replay))

    def forget(self, destination: int) -> None:
        """Of a removed destination."""
        ids: Iterable[tuple[Any, ...]] = self._db.execute(
            "SELECT id FROM replays WHERE destination = ?", (destination,)
        ).fetchall()
        for (replay,) in ids:
            self._forget(replay)
        for table in ("replayed", "filed"):
            self._db.execute(f"DELETE FROM {table} WHERE destination = ?", (destination,))  # noqa: S608

    def _forget(self, replay: int) -> None:
        for table, column in (("replays", "id"), ("replay_positions", "replay"), ("replay_counts", "replay")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (replay,))  # noqa: S608

    def _count(self, replay: int, state: str, code: str, n: int) -> None:
        self._db.execute(
            "INSERT INTO replay_counts VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            (replay, state, well_formed(code), n),
        )


class ReplayReader:
    """The reading half, from any process. Of a file that no delivery of this version has opened yet: nothing."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def all(self, destination: int | None = None, limit: int = 100) -> list[Replay]:
        """Newest first."""
        if destination is None:
            return self._replays("1 ORDER BY id DESC LIMIT ?", (limit,))
        return self._replays("destination = ? ORDER BY id DESC LIMIT ?", (destination, limit))

    def one(self, replay: int) -> Replay | None:
        return next(iter(self._replays("id = ?", (replay,))), None)

    def first_unfinished(self, destination: int) -> Replay | None:
        """The oldest that goes on: one at a time."""
        found = self._replays("destination = ? AND ended_at IS NULL ORDER BY id LIMIT 1", (destination,))
        return next(iter(found), None)

    def ways(self, replay: int) -> dict[int, Way]:
        query = "SELECT partition, after, upto FROM replay_positions WHERE replay = ?"
        return {partition: Way(after, upto) for partition, after, upto in self._rows(query, (replay,))}

    def counts(self, replay: int) -> dict[tuple[str, str], int]:
        query = "SELECT state, code, n FROM replay_counts WHERE replay = ?"
        return {(state, code): n for state, code, n in self._rows(query, (replay,))}

    def joined(self, destination: int) -> dict[Position, Joined]:
        """Those on their way."""
        query = "SELECT partition, offset, replay, left_out FROM replayed WHERE destination = ?"
        return {
            Position(partition, offset): Joined(replay, frozenset(map(key_of, msgspec.json.decode(left_out))))
            for partition, offset, replay, left_out in self._rows(query, (destination,))
        }

    def filed(self, destination: int, position: Position) -> Filed | None:
        """Where the newest replay that filed it here did so."""
        query = "SELECT replay, at, account FROM filed WHERE destination = ? AND partition = ? AND offset = ?"
        for replay, at, account in self._rows(query, (destination, *position), table="filed"):
            return Filed(replay, at, str(account, "utf-8", "surrogatepass"))
        return None

    def filed_under(self, account: str, partition: int, after: Offset, before: Offset, limit: int) -> list[Offset]:
        """Newest first, of those between the two: what replays filed under this account, wherever they sent it."""
        query = (
            "SELECT DISTINCT offset FROM filed WHERE account = ? AND partition = ? AND offset > ? AND offset < ?"
            " ORDER BY offset DESC LIMIT ?"
        )
        given = (_bytes(account), partition, after, before, limit)
        return [row[0] for row in self._rows(query, given, table="filed")]

    def needed(self, partition: int) -> list[Offset]:
        """Of each that goes on the last offset it does not need any more."""
        query = (
            "SELECT after FROM replay_positions JOIN replays ON id = replay"
            " WHERE partition = ? AND ended_at IS NULL AND after < upto"
        )
        return [row[0] for row in self._rows(query, (partition,))]

    def _replays(self, where: str, args: tuple[int, ...]) -> list[Replay]:
        return [
            Replay(
                id=id_,
                destination=destination,
                asked_at=asked_at,
                by=by,
                wanted=msgspec.json.decode(wanted, type=Selection),
                rate=rate,
                overwrite=bool(overwrite),
                state=ReplayState(state),
                reason=reason,
                ended_at=ended_at,
                gone=gone,
            )
            for id_, destination, asked_at, by, wanted, rate, overwrite, state, reason, ended_at, gone in self._rows(
                f"SELECT * FROM replays WHERE {where}",  # noqa: S608 - the conditions stand above
                args,
            )
        ]

    def _rows(self, query: str, args: tuple[int | bytes, ...], table: str = "replayed") -> Iterable[tuple[Any, ...]]:
        if not self._db.execute("SELECT count(*) FROM sqlite_schema WHERE name = ?", (table,)).get:
            return []
        return self._db.execute(query, args).fetchall()


def _pair(way: Way) -> tuple[Offset, Offset]:
    return way.after, way.upto


def _bytes(account: str) -> bytes:
    return account.encode("utf-8", "surrogatepass")


def _encode(wanted: Selection) -> str:
    return msgspec.json.encode(wanted).decode()
