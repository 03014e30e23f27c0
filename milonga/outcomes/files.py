"""
The files that keep outcomes: segments by size and age, dropped whole. Written by the delivery process alone
(milonga.outcomes.writer), readable by any (milonga.outcomes.reader): `<data>/outcomes/<number>.db`.

Rows are only ever added; where an event has several for one destination (a dead letter that was resent), the newest
holds.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import apsw

from milonga.eventlog.api import Position
from milonga.eventlog.wal import leave_wal
from milonga.outcomes.model import Attempt, Outcome, State
from milonga.outcomes.totals import COUNTERS, LatencyRow, Row
from milonga.spec.text import well_formed

SCHEMA_VERSION: Final = 1
WAL_PAGES: Final = 250  #: of 4 kB: there must be room for this log when the disk is nearly full
PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "journal_size_limit = 16777216",
    f"wal_autocheckpoint = {WAL_PAGES}",
)

SCHEMA: Final = (
    COUNTERS
    + """
CREATE TABLE outcomes(
  partition INTEGER, offset INTEGER, destination INTEGER, ended_at INTEGER,
  state INTEGER NOT NULL, code TEXT NOT NULL, attempts INTEGER NOT NULL, perhaps INTEGER NOT NULL,
  received_at INTEGER NOT NULL, settings_version INTEGER NOT NULL, replay INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(partition, offset, destination, ended_at)) WITHOUT ROWID;
CREATE INDEX by_code ON outcomes(destination, state, code, ended_at) WHERE state <> 1;
CREATE TABLE attempts(
  partition INTEGER NOT NULL, offset INTEGER NOT NULL, destination INTEGER NOT NULL,
  at INTEGER NOT NULL, part TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, status INTEGER,
  ms INTEGER NOT NULL, perhaps INTEGER NOT NULL, answer BLOB NOT NULL, batch INTEGER NOT NULL DEFAULT 1);
CREATE INDEX attempts_of ON attempts(partition, offset, destination);
CREATE TABLE about(created_at INTEGER NOT NULL, newest_at INTEGER NOT NULL);
"""
)


def segments(folder: Path) -> list[int]:
    """Numbers of the files there are, ascending."""
    return sorted(int(path.stem) for path in folder.glob("*.db") if path.stem.isdigit())


def path_of(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.db"


def open_to_read(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(5_000)
    leave_wal(db)
    return db


def is_begun(db: apsw.Connection) -> bool:
    """Its tables are there."""
    return bool(next(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'about'"))[0])


def knows_batches(db: apsw.Connection) -> bool:
    """The first files of this version did not keep how many events a request carried."""
    return bool(next(db.execute("SELECT count(*) FROM pragma_table_info('attempts') WHERE name = 'batch'"))[0])


def knows_replays(db: apsw.Connection) -> bool:
    """The first files of this version did not keep which replay an outcome belongs to."""
    return bool(next(db.execute("SELECT count(*) FROM pragma_table_info('outcomes') WHERE name = 'replay'"))[0])


def counts_in(db: apsw.Connection, since: int, length: int = 1) -> list[Row]:
    """length: of the periods that are counted together, minutes; then a row's minute is the period's number"""
    if length == 1:
        return list(db.execute("SELECT * FROM counters WHERE minute >= ?", (since,)))
    query = "SELECT minute / ?2, destination, state, code, sum(n) FROM counters WHERE minute >= ?1 GROUP BY 1, 2, 3, 4"
    return list(db.execute(query, (since, length)))


def reach_of(db: apsw.Connection, table: Literal["outcomes", "attempts"]) -> Iterator[Position]:
    """The first and the last position that it tells of."""
    for way in ("ASC", "DESC"):
        query = f"SELECT partition, offset FROM {table} ORDER BY partition {way}, offset {way} LIMIT 1"  # noqa: S608
        yield next((Position(*row) for row in db.execute(query)), Position(0, -1))


def latencies_in(db: apsw.Connection, since: int, length: int = 1) -> list[LatencyRow]:
    """As `counts_in`."""
    if not next(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'latency'"))[0]:
        return []
    if length == 1:
        return list(db.execute("SELECT * FROM latency WHERE minute >= ?", (since,)))
    query = "SELECT minute / ?2, destination, bucket, sum(n) FROM latency WHERE minute >= ?1 GROUP BY 1, 2, 3"
    return list(db.execute(query, (since, length)))


def open_to_write(path: Path) -> apsw.Connection:
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


def row_of(o: Outcome) -> tuple[int | str, ...]:
    what = (int(o.state), o.code, o.attempts, o.perhaps)
    return (*o.position, o.destination, o.ended_at, *what, o.received_at, o.settings_version, o.replay)


def attempt_row_of(a: Attempt) -> tuple[int | str | bytes | None, ...]:
    what = (a.part, a.code, well_formed(a.reason), a.status, a.ms, a.perhaps, a.answer, a.batch)
    return (*a.position, a.destination, a.at, *what)


def outcome_of(row: tuple[Any, ...]) -> Outcome:
    partition, offset, destination, ended_at, state, code, attempts, perhaps, received_at, version, *replay = row
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
        replay=replay[0] if replay else 0,  # see knows_replays
    )
