"""Writes the files of outcomes, and drops them when they are old: the delivery process alone."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import apsw
import structlog

from milonga.eventlog.aside import DAMAGED, UNREADABLE, set_aside, with_companions
from milonga.eventlog.folders import make_folder
from milonga.eventlog.wal import tell_lost
from milonga.outcomes.files import (
    SCHEMA,
    SCHEMA_VERSION,
    attempt_row_of,
    is_begun,
    knows_batches,
    knows_replays,
    latencies_in,
    open_to_read,
    open_to_write,
    path_of,
    row_of,
    segments,
)
from milonga.outcomes.latency import bucket_of
from milonga.outcomes.model import Attempt, Outcome, State
from milonga.outcomes.totals import ADD, ADD_LATENCY, KEEP_COUNTS, LATENCY, LatencyRow, Row, roll

SEGMENT_ROWS: Final = 2_000_000  #: outcomes of one file, about 100 MB
SEGMENT_AGE: Final = 86_400  #: seconds
REPLAYED: Final = "replayed"  #: code under which deliveries by replays are counted
KEEP_OUTCOMES: Final = 30 * 86_400  #: seconds after the newest row of a file

log = structlog.get_logger("milonga.outcomes")


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
        make_folder(folder)
        self._told: set[Path] = set()
        number = max(segments(folder), default=1)
        try:
            self._open_segment(number)
        except DAMAGED as error:
            aside = set_aside(path_of(folder, number))
            log.error(
                "outcomes.damaged",
                file=str(path_of(folder, number)),
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
                "outcomes.damaged", file=str(path_of(self._folder, self._number)), error=str(error), goes_on="behind"
            )
            self._next_segment()
            self._write(outcomes, attempts)

    def _write(self, outcomes: Sequence[Outcome], attempts: Sequence[Attempt]) -> None:
        if self._rows >= self._segment_rows or (self._rows and self._clock() - self._created > SEGMENT_AGE):
            self._next_segment()
        counted = Counter((o.ended_at // 60_000, o.destination, int(o.state), _counted_as(o)) for o in outcomes)
        took = Counter(
            (o.ended_at // 60_000, o.destination, bucket_of(o.ended_at - o.received_at))
            for o in outcomes
            if o.state is State.delivered and not o.replay
        )
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO outcomes VALUES(?,?,?,?,?,?,?,?,?,?,?)",
                map(row_of, outcomes),
            )
            self._db.executemany(
                "INSERT INTO attempts VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
                map(attempt_row_of, attempts),
            )
            self._db.executemany(ADD, ((*key, n) for key, n in counted.items()))
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
            path = path_of(self._folder, number)
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
            with closing(open_to_read(path)) as db:
                if is_begun(db):
                    newest = next(db.execute("SELECT newest_at FROM about"))[0]
                    return newest, list(db.execute("SELECT * FROM counters")), latencies_in(db, 0)
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
        full.set_busy_timeout(0)
        with suppress(apsw.Error):  # somebody reads it: then its write-ahead log stays beside it
            full.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        full.close()

    def _open_segment(self, number: int) -> None:
        """An existing file, or a new one; one whose making was cut short is made now."""
        db = open_to_write(path_of(self._folder, number))
        try:
            version = db.pragma("user_version")
            tell_lost(
                path_of(self._folder, number),
                db,
                "the newest outcomes: events that had just been delivered may be sent once more",
            )
            if version == 0:
                with db:
                    db.execute(SCHEMA)
                    db.execute("INSERT INTO about VALUES(?, ?)", (int(self._clock()),) * 2)
                    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise NewerOutcomes(  # noqa: TRY301 - the handler only closes the file
                    f"{path_of(self._folder, number)} was written by another version of Milonga (format {version}, this"
                    f" one knows {SCHEMA_VERSION}). Run that version, or restore a backup."
                )
            db.execute(LATENCY)  # came after the first files of this version, and so did the next
            if not knows_batches(db):
                db.execute("ALTER TABLE attempts ADD COLUMN batch INTEGER NOT NULL DEFAULT 1")
            if not knows_replays(db):
                db.execute("ALTER TABLE outcomes ADD COLUMN replay INTEGER NOT NULL DEFAULT 0")
            rows, created = next(db.execute("SELECT (SELECT ifnull(sum(n), 0) FROM counters), created_at FROM about"))
        except BaseException:
            db.close()
            raise
        self._db, self._number, self._rows, self._created = db, number, rows, created


def _counted_as(outcome: Outcome) -> str:
    """Its code; what a replay delivered is told from first deliveries."""
    return REPLAYED if outcome.replay and outcome.state is State.delivered else outcome.code
