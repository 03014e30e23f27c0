"""
Counts of outcomes beyond the files they were counted in: when a file of outcomes goes, its counts per minute are added
to `<data>/outcomes/counters.db`, once, and kept much longer. So no page ever counts rows.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw
import structlog

from milonga.eventlog.aside import DAMAGED, UNREADABLE, set_aside
from milonga.eventlog.wal import leave_wal

log = structlog.get_logger("milonga.outcomes")

KEEP_COUNTS: Final = 400 * 86_400  #: seconds

COUNTERS: Final = """
CREATE TABLE IF NOT EXISTS counters(
  minute INTEGER, destination INTEGER, state INTEGER, code TEXT, n INTEGER NOT NULL,
  PRIMARY KEY(minute, destination, state, code)) WITHOUT ROWID;
"""
ROLLED: Final = "CREATE TABLE IF NOT EXISTS rolled(segment INTEGER PRIMARY KEY);"
LATENCY: Final = """
CREATE TABLE IF NOT EXISTS latency(
  minute INTEGER, destination INTEGER, bucket INTEGER, n INTEGER NOT NULL,
  PRIMARY KEY(minute, destination, bucket)) WITHOUT ROWID;
"""
ADD_LATENCY: Final = "INSERT INTO latency VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET n = n + excluded.n"
ADD: Final = "INSERT INTO counters VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET n = n + excluded.n"

Row = tuple[int, int, int, str, int]
"""(minute, destination, state, code, n); minute is unix seconds / 60."""

LatencyRow = tuple[int, int, int, int]
"""(minute, destination, bucket, n), of deliveries; see milonga.outcomes.latency."""


def totals_path(folder: Path) -> Path:
    return folder / "counters.db"


def roll(
    folder: Path,
    segment: int,
    counts: Sequence[Row],
    took: Sequence[LatencyRow] = (),
    *,
    now: float,
    keep: float = KEEP_COUNTS,
) -> None:
    """
    Add the counts of a file that is about to go; durable on return. Asked again after a crash, it adds nothing.

    now   unix seconds
    keep  seconds; older minutes are forgotten
    """
    path = totals_path(folder)
    try:
        _roll(path, segment, counts, took, now, keep)
    except DAMAGED as error:
        aside = set_aside(path)
        log.error("outcomes.damaged", file=str(path), set_aside=aside.name, error=str(error), lost="older counts")
        _roll(path, segment, counts, took, now, keep)


def _roll(path: Path, segment: int, counts: Sequence[Row], took: Sequence[LatencyRow], now: float, keep: float) -> None:
    with closing(apsw.Connection(str(path))) as db:
        path.chmod(0o600)
        db.set_busy_timeout(5_000)
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        with db:
            db.execute(COUNTERS + ROLLED + LATENCY)
            if db.execute("SELECT 1 FROM rolled WHERE segment = ?", (segment,)).fetchone() is None:
                db.execute("INSERT INTO rolled VALUES(?)", (segment,))
                db.executemany(ADD, counts)
                db.executemany(ADD_LATENCY, took)
            for table in ("counters", "latency"):
                db.execute(f"DELETE FROM {table} WHERE minute < ?", (int((now - keep) // 60),))  # noqa: S608


def rolled(folder: Path, since: int) -> tuple[set[int], list[Row], list[LatencyRow]]:
    """Numbers of the files whose counts are here, and the counts and latencies from minute `since` on."""
    try:
        connection = apsw.Connection(str(totals_path(folder)), flags=apsw.SQLITE_OPEN_READWRITE)
    except apsw.CantOpenError:
        return set(), [], []
    connection.set_busy_timeout(5_000)
    leave_wal(connection)
    with closing(connection) as db:
        try:
            db.execute("BEGIN")  # they belong together
            there = {row[0] for row in db.execute("SELECT name FROM sqlite_schema")}
            if "rolled" not in there:
                return set(), [], []
            numbers = {int(row[0]) for row in db.execute("SELECT segment FROM rolled")}
            counts = list(db.execute("SELECT * FROM counters WHERE minute >= ?", (since,)))
            query = "SELECT * FROM latency WHERE minute >= ?"
            return numbers, counts, list(db.execute(query, (since,))) if "latency" in there else []
        except UNREADABLE:
            return set(), [], []  # it is set aside, and told, when it is next written to
