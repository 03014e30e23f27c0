"""
The files that keep outcomes: segments by size and age, dropped whole. Written by the delivery process alone, readable
by any: `<data>/outcomes/<number>.db`.

Rows are only ever added; where an event has several for one destination (a dead letter that was resent), the newest
holds.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import structlog
from msgspec import Struct

from milonga.destinations.text import well_formed
from milonga.eventlog.api import START, Offset, Position
from milonga.eventlog.aside import DAMAGED, UNREADABLE, set_aside, with_companions
from milonga.outcomes.latency import Latencies, bucket_of
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.totals import ADD_LATENCY, KEEP_COUNTS, LATENCY, LatencyRow, Row, roll, rolled

SCHEMA_VERSION: Final = 1
SEGMENT_ROWS: Final = 2_000_000  #: outcomes of one file, about 100 MB
SEGMENT_AGE: Final = 86_400  #: seconds
KEEP_OUTCOMES: Final = 30 * 86_400  #: seconds after the newest row of a file
_BEYOND_ALL: Final = 2**62  #: an offset

WAL_PAGES: Final = 250  #: of 4 kB: there must be room for this log when the disk is nearly full
PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "journal_size_limit = 16777216",
    f"wal_autocheckpoint = {WAL_PAGES}",
)

SCHEMA: Final = """
CREATE TABLE outcomes(
  partition INTEGER, offset INTEGER, destination INTEGER, ended_at INTEGER,
  state INTEGER NOT NULL, code TEXT NOT NULL, attempts INTEGER NOT NULL, perhaps INTEGER NOT NULL,
  received_at INTEGER NOT NULL, settings_version INTEGER NOT NULL,
  PRIMARY KEY(partition, offset, destination, ended_at)) WITHOUT ROWID;
CREATE TABLE attempts(
  partition INTEGER NOT NULL, offset INTEGER NOT NULL, destination INTEGER NOT NULL,
  at INTEGER NOT NULL, part TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, status INTEGER,
  ms INTEGER NOT NULL, perhaps INTEGER NOT NULL, answer BLOB NOT NULL);
CREATE INDEX attempts_of ON attempts(partition, offset, destination);
CREATE TABLE counters(
  minute INTEGER, destination INTEGER, state INTEGER, code TEXT, n INTEGER NOT NULL,
  PRIMARY KEY(minute, destination, state, code)) WITHOUT ROWID;
CREATE TABLE about(created_at INTEGER NOT NULL, newest_at INTEGER NOT NULL);
"""


T = TypeVar("T")

log = structlog.get_logger("milonga.outcomes")


class Attempt(Struct, frozen=True, kw_only=True):
    """
    One answer, or the lack of one, for an event that failed at least once.

    destination, position  see Outcome
    at       unix milliseconds when it came back
    part     of the event's requests
    code     of the ending; "" for a success that followed failures
    reason   in words
    status   of HTTP; None without an answer
    ms       how long it took
    perhaps  True if the receiver may have it although no answer came
    answer   the first 1,000 bytes of the body
    """

    destination: int
    position: Position
    at: int
    part: str
    code: str
    reason: str
    status: int | None
    ms: int
    perhaps: bool
    answer: bytes


class NewerOutcomes(Exception):
    """The file was written by a version of Milonga that this one cannot read. Nothing was changed."""


class OutcomeWriter:
    """
    One per workspace; `write` is for one thread at a time, `drop_old` for another if need be. `write` is durable on
    return; an apsw error (a full disk) leaves everything as it was. If the newest file turns out to be damaged, the log
    says so and a new one is begun.

    clock  unix seconds
    """

    def __init__(self, folder: Path, clock: Callable[[], float], *, segment_rows: int = SEGMENT_ROWS) -> None:
        self._folder, self._clock, self._segment_rows = folder, clock, segment_rows
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._told: set[Path] = set()
        number = max(segments(folder), default=1)
        try:
            self._open_segment(number)
        except DAMAGED as error:
            aside = set_aside(_path(folder, number))
            log.error(
                "outcomes.damaged",
                file=str(_path(folder, number)),
                set_aside=aside.name,
                error=str(error),
                lost="what became of the events it told of; those that had just been delivered may be sent once more",
            )
            self._open_segment(number + 1)

    def write(self, outcomes: Sequence[Outcome], attempts: Sequence[Attempt] = ()) -> None:
        try:
            self._write(outcomes, attempts)
        except DAMAGED as error:
            log.error(
                "outcomes.damaged", file=str(_path(self._folder, self._number)), error=str(error), goes_on="behind"
            )
            self._next_segment()
            self._write(outcomes, attempts)

    def _write(self, outcomes: Sequence[Outcome], attempts: Sequence[Attempt]) -> None:
        if self._rows >= self._segment_rows or (self._rows and self._clock() - self._created > SEGMENT_AGE):
            self._next_segment()
        counted = Counter((o.ended_at // 60_000, o.destination, int(o.state), o.code) for o in outcomes)
        took = Counter(
            (o.ended_at // 60_000, o.destination, bucket_of(o.ended_at - o.received_at))
            for o in outcomes
            if o.state is State.delivered
        )
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO outcomes VALUES(?,?,?,?,?,?,?,?,?,?)",
                map(_row, outcomes),
            )
            self._db.executemany(
                "INSERT INTO attempts VALUES(?,?,?,?,?,?,?,?,?,?,?)",
                map(_attempt_row, attempts),
            )
            self._db.executemany(
                "INSERT INTO counters VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
                ((*key, n) for key, n in counted.items()),
            )
            self._db.executemany(ADD_LATENCY, ((*key, n) for key, n in took.items()))
            self._db.execute("UPDATE about SET newest_at = ?", (int(self._clock()),))
        self._rows += len(outcomes)

    def drop_old(self, keep: float = KEEP_OUTCOMES, keep_counts: float = KEEP_COUNTS) -> int:
        """
        Remove the files whose newest row is older than `keep` seconds; return how many. Their counts stay for
        `keep_counts` seconds.
        """
        dropped = 0
        for number in segments(self._folder)[:-1]:
            path = _path(self._folder, number)
            newest, counts, took = self._summary(path)
            if newest < self._clock() - keep:
                roll(self._folder, number, counts, took, now=self._clock(), keep=keep_counts)
                for part in with_companions(path):
                    part.unlink(missing_ok=True)
                dropped += 1
        return dropped

    def _summary(self, path: Path) -> tuple[float, list[Row], list[LatencyRow]]:
        """When its newest row was written, unix seconds, and its counts; nearly nothing of one that cannot be read."""
        try:
            with closing(_open_to_read(path)) as db:
                if _is_begun(db):
                    newest = next(db.execute("SELECT newest_at FROM about"))[0]
                    return newest, list(db.execute("SELECT * FROM counters")), _latencies(db, 0)
                error = "it is empty"
        except (*UNREADABLE, apsw.CantOpenError) as unreadable:
            error = f"{type(unreadable).__name__}: {unreadable}"
        if path not in self._told:
            self._told.add(path)
            log.error("outcomes.unreadable", file=str(path), error=error)
        return path.stat().st_mtime, [], []

    def close(self) -> None:
        self._db.close()

    def _next_segment(self) -> None:
        full = self._db
        self._open_segment(self._number + 1)  # may fail: then the full one is still ours
        full.close()

    def _open_segment(self, number: int) -> None:
        """An existing file, or a new one; one whose making was cut short is made now."""
        db = _open_to_write(_path(self._folder, number))
        try:
            version = db.pragma("user_version")
            if version == 0:
                with db:
                    db.execute(SCHEMA)
                    db.execute("INSERT INTO about VALUES(?, ?)", (int(self._clock()),) * 2)
                    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise NewerOutcomes(  # noqa: TRY301 - the handler only closes the file
                    f"{_path(self._folder, number)} was written by another version of Milonga (format {version}, this"
                    f" one knows {SCHEMA_VERSION}). Run that version, or restore a backup."
                )
            db.execute(LATENCY)  # came after the first files of this version
            rows, created = next(db.execute("SELECT (SELECT ifnull(sum(n), 0) FROM counters), created_at FROM about"))
        except BaseException:
            db.close()
            raise
        self._db, self._number, self._rows, self._created = db, number, rows, created


class OutcomeReader:
    """
    Reads what another process writes. Every call opens and closes the files it needs: they may be dropped.

    unreadable  file name -> error, of those that a call could not read; it passes them by
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.unreadable: dict[str, str] = {}

    def of(self, position: Position) -> list[Outcome]:
        """All rows of one event, the newest first."""
        return self.of_many([position]).get(position, [])

    def of_many(self, positions: Sequence[Position]) -> dict[Position, list[Outcome]]:
        """The same of many events: each file is opened once. Those without an outcome are left out."""
        query = "SELECT * FROM outcomes WHERE partition = ? AND offset = ?"

        def ask(db: apsw.Connection) -> Iterator[Outcome]:
            return (_outcome(row) for position in positions for row in db.execute(query, position))

        found: dict[Position, list[Outcome]] = {}
        for outcome in self._of_each(ask) if positions else ():
            found.setdefault(outcome.position, []).append(outcome)
        for outcomes in found.values():
            outcomes.sort(key=lambda o: o.ended_at, reverse=True)
        return found

    def attempts(self, position: Position, destination: int) -> list[Attempt]:
        """Oldest first."""
        query = (
            "SELECT at, part, code, reason, status, ms, perhaps, answer FROM attempts"
            " WHERE partition = ? AND offset = ? AND destination = ?"
        )
        found = [
            Attempt(
                destination=destination,
                position=position,
                at=at,
                part=part,
                code=code,
                reason=reason,
                status=status,
                ms=ms,
                perhaps=bool(perhaps),
                answer=answer,
            )
            for at, part, code, reason, status, ms, perhaps, answer in self._of_each(
                lambda db: db.execute(query, (*position, destination))
            )
        ]
        return sorted(found, key=lambda a: a.at)

    def finished_after(
        self, destination: int, partition: int, offset: Offset, upto: Offset = _BEYOND_ALL
    ) -> set[Offset]:
        """Offsets beyond this one, up to another, whose outcome at this destination is known."""
        query = "SELECT offset FROM outcomes WHERE partition = ? AND offset > ? AND offset <= ? AND destination = ?"
        return {row[0] for row in self._of_each(lambda db: db.execute(query, (partition, offset, upto, destination)))}

    def last_ended(self, destination: int, positions: Iterable[Position]) -> dict[Position, int]:
        """When those of them that have an outcome at this destination ended last, unix milliseconds."""
        wanted, found = list(positions), dict[Position, int]()
        query = "SELECT max(ended_at) FROM outcomes WHERE partition = ? AND offset = ? AND destination = ?"

        def ask(db: apsw.Connection) -> Iterator[tuple[Position, int | None]]:
            return ((position, next(db.execute(query, (*position, destination)))[0]) for position in wanted)

        for position, ended_at in self._of_each(ask) if wanted else ():
            if ended_at is not None:
                found[position] = max(ended_at, found.get(position, 0))
        return found

    def end(self, partition: int) -> Offset:
        """The highest offset that has an outcome; START if there is none."""
        query = "SELECT max(offset) FROM outcomes WHERE partition = ?"
        found = [row[0] for row in self._of_each(lambda db: db.execute(query, (partition,)))]
        return max((offset for offset in found if offset is not None), default=START)

    def totals(self, since: int = 0) -> dict[tuple[int, State, str], int]:
        """(destination, state, code) -> how many, from the minute of `since` (unix milliseconds) on."""
        minute = since // 60_000
        gone, counts, _ = rolled(self._folder, minute)
        query = "SELECT * FROM counters WHERE minute >= ?"
        counts += self._of_each(lambda db: db.execute(query, (minute,)), without=gone)
        sums: Counter[tuple[int, State, str]] = Counter()
        for _, destination, state, code, n in counts:
            sums[destination, State(state), code] += n
        return dict(sums)

    def latencies(self, since: int = 0) -> dict[int, Latencies]:
        """Destination -> how long its deliveries took, from the minute of `since` (unix milliseconds) on."""
        minute = since // 60_000
        gone, _, took = rolled(self._folder, minute)
        took += self._of_each(lambda db: _latencies(db, minute), without=gone)
        found: dict[int, Counter[int]] = {}
        for _, destination, bucket, n in took:
            found.setdefault(destination, Counter())[bucket] += n
        return {destination: Latencies(counts) for destination, counts in found.items()}

    def minutes(self, since: int) -> tuple[list[Row], list[LatencyRow]]:
        """All counts from this minute (unix seconds / 60) on. Of the files, only those that may hold any are opened."""
        gone, counts, took = rolled(self._folder, since)

        def ask(db: apsw.Connection) -> Iterator[tuple[float, list[Row], list[LatencyRow]]]:
            newest = next(db.execute("SELECT newest_at FROM about"))[0]
            yield newest, list(db.execute("SELECT * FROM counters WHERE minute >= ?", (since,))), _latencies(db, since)

        for newest, more, their in self._of_each(ask, without=gone):
            counts += more
            took += their
            if newest < since * 60:
                break
        return counts, took

    def oldest(self) -> int | None:
        """Unix seconds since when outcomes are kept; None if there are none."""
        return min(
            (row[0] for row in self._of_each(lambda db: db.execute("SELECT created_at FROM about"))), default=None
        )

    def _of_each(self, ask: Callable[[apsw.Connection], Iterable[T]], without: Container[int] = ()) -> Iterator[T]:
        """What every file that can be read answers, the newest first. without: numbers of files to leave out"""
        numbers = segments(self._folder)
        for number in reversed(numbers):
            if number in without:
                continue
            path = _path(self._folder, number)
            try:
                with closing(_open_to_read(path)) as db:
                    if _is_begun(db):
                        yield from ask(db)
                    elif number != numbers[-1]:  # the newest is being made
                        self.unreadable[path.name] = "it is empty"
            except apsw.CantOpenError as error:
                if path.exists():  # otherwise it was dropped a moment ago
                    self.unreadable[path.name] = str(error)
            except UNREADABLE as error:
                self.unreadable[path.name] = str(error)


def segments(folder: Path) -> list[int]:
    """Numbers of the files there are, ascending."""
    return sorted(int(path.stem) for path in folder.glob("*.db") if path.stem.isdigit())


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.db"


def _open_to_read(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(5_000)
    return db


def _is_begun(db: apsw.Connection) -> bool:
    """Its tables are there."""
    return bool(next(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'about'"))[0])


def _latencies(db: apsw.Connection, since: int) -> list[LatencyRow]:
    if not next(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'latency'"))[0]:
        return []
    return list(db.execute("SELECT * FROM latency WHERE minute >= ?", (since,)))


def _open_to_write(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path))
    try:
        path.chmod(0o600)
        db.set_busy_timeout(5_000)
        for pragma in PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
    except BaseException:
        db.close()
        raise
    return db


def _row(o: Outcome) -> tuple[int | str, ...]:
    what = (int(o.state), o.code, o.attempts, o.perhaps)
    return (*o.position, o.destination, o.ended_at, *what, o.received_at, o.settings_version)


def _attempt_row(a: Attempt) -> tuple[int | str | bytes | None, ...]:
    what = (a.part, a.code, well_formed(a.reason), a.status, a.ms, a.perhaps, a.answer)
    return (*a.position, a.destination, a.at, *what)


def _outcome(row: tuple[Any, ...]) -> Outcome:
    partition, offset, destination, ended_at, state, code, attempts, perhaps, received_at, version = row
    return Outcome(
        destination=destination,
        position=Position(partition, offset),
        state=State(state),
        code=code,
        attempts=attempts,
        perhaps=perhaps,
        received_at=received_at,
        ended_at=ended_at,
        settings_version=version,
    )
