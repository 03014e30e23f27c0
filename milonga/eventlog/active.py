"""The segment that is written to."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import structlog

from milonga.eventlog.api import START, Discard, Offset
from milonga.eventlog.aside import DAMAGED, UNREADABLE, set_aside, with_companions
from milonga.eventlog.counters import ACCEPTED, MINUTE, Samples, Tally, add, counts_of, tally_discards
from milonga.eventlog.record import ROWS_PER_STATEMENT, insert
from milonga.eventlog.salvage import tell_and_salvage
from milonga.eventlog.segment import Step, create, list_segments, newest, open_to_write, path_of
from milonga.identity.duplicates import filter_key, key_of

ROW_OVERHEAD = 150  #: bytes a row takes beside its stamp and body, about
PAGE = 16384  #: bytes
ONE_GROUP = 50_000  #: more events than are ever written at once
MOST_ROWS_A_PAGE = 80  #: of 16 kB; a stamp alone has over 200 bytes

TRIAL = 64 * 1024  #: bytes; an event with its stamp has at most about half of it

SCAN = """
SELECT offset, received_at, source, message_id, length(stamp) + length(body), stamp ->> 'own_message_id' FROM events
"""

FULL_STATEMENT = insert(ROWS_PER_STATEMENT)

log = structlog.get_logger("milonga.eventlog")


class ActiveSegment:
    """
    first        its first offset, and its name
    next_offset  what the next event gets
    events       how many it holds, with `size` in bytes
    created_at   unix milliseconds
    newest_at    unix milliseconds: when the last of its events arrived; 0 without events
    ids          key -> offset of all events with an id of their sender's
    filter_keys  of the same events, see milonga.identity.duplicates
    damaged      a page of it is: it must not be written to
    wal_frames   pages in its write-ahead log after the last commit
    """

    def __init__(self, folder: Path, first: Offset, on_step: Step) -> None:
        """Open it, and read what is in it. apsw.CorruptError or apsw.NotADBError if nothing of it can be read."""
        self.first = first
        self.path = path_of(folder, first)
        self.connection = open_to_write(self.path)
        self.connection.set_wal_hook(self._committed)
        self.wal_frames = 0
        self._on_step = on_step
        self._tally: Tally = {}
        self.ids: dict[int, Offset] = {}
        self.filter_keys = array("Q")
        self.events = self.size = self.newest_at = 0
        self.damaged = False
        try:
            found = self.connection.execute("SELECT value FROM meta WHERE key = 'created_at'").get
            self.created_at = int(found) if isinstance(found, int) else 0
            tell_and_salvage(self.path, self.connection, first)
            self.next_offset = newest(self.connection, first) + 1
            self._samples = Samples(self.connection)
            self._scan()
        except (*UNREADABLE, apsw.SQLError) as error:  # the last for a stamp that is no JSON any more
            try:
                self.connection.execute("SELECT offset FROM events LIMIT 1").fetchall()
            except DAMAGED:
                self.connection.close()
                raise
            self.damaged = True
            self.created_at = 0
            self.next_offset = _beyond(self.path, first)
            log.error("segment_damaged", segment=str(self.path), error=str(error), next_offset=self.next_offset)

    def _scan(self) -> None:
        """Ids and sizes, and the counts of accepted events, which a crash may have left a second behind."""
        accepted: Tally = {}
        for offset, at, source, message_id, size, own in self.connection.execute(SCAN):
            if own:
                self.ids[key_of(source, message_id)] = offset
                self.filter_keys.append(filter_key(message_id))
            minute = (at // MINUTE, source, ACCEPTED)
            accepted[minute] = accepted.get(minute, 0) + 1
            self.newest_at = max(self.newest_at, at)
            self.events += 1
            self.size += size + ROW_OVERHEAD
        for minute_, source, name, n in counts_of(self.connection):
            if name == ACCEPTED:
                accepted[minute_, source, name] = accepted.get((minute_, source, name), 0) - n
        self._tally = {key: n for key, n in accepted.items() if n}

    def _committed(self, _connection: apsw.Connection, _name: str, frames: int) -> int:
        self.wal_frames = frames
        return apsw.SQLITE_OK

    def write(self, rows: list[Any], count: int, discards: Sequence[Discard], *, counters: bool) -> None:
        """
        In one transaction. On return it is durable; apsw.Error if nothing of it was kept.

        rows      the columns of all rows, one after the other, offsets included
        count     of rows
        discards  counted, and some kept to look at
        counters  write the tally, too
        """
        self._on_step("before-begin")
        if 0 < count <= ROWS_PER_STATEMENT and not discards and not counters:
            # One statement is a transaction by itself. Each call into SQLite lets go of the interpreter, and a busy
            # event loop on another core gives it back late: of what comes one by one, three calls made a tenth.
            self.connection.execute(insert(count), rows)
        else:
            self._write_together(rows, count, discards, counters=counters)
        if counters:
            self._tally.clear()
        self._on_step("after-commit")

    def _write_together(self, rows: list[Any], count: int, discards: Sequence[Discard], *, counters: bool) -> None:
        execute, width = self.connection.execute, len(rows) // count if count else 0
        execute("BEGIN IMMEDIATE")
        try:
            done = 0
            while count - done >= ROWS_PER_STATEMENT:
                execute(FULL_STATEMENT, rows[done * width : (done + ROWS_PER_STATEMENT) * width])
                done += ROWS_PER_STATEMENT
            if done < count:
                execute(insert(count - done), rows[done * width :] if done else rows)
            if discards:
                add(self.connection, tally_discards(discards))
                self._samples.keep(discards)
            if counters:
                add(self.connection, self._tally)
            self._on_step("after-insert")
            execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                execute("ROLLBACK")
            raise

    def try_out(self) -> None:
        """Write as much as a large event takes, and take it back. apsw.Error if that cannot be made durable."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('try', zeroblob(?))", (TRIAL,))
        self.connection.execute("DELETE FROM meta WHERE key = 'try'")

    def count(self, minute: int, source: int, name: str, n: int) -> None:
        """To be written within a second or so."""
        key = (minute, source, name)
        self._tally[key] = self._tally.get(key, 0) + n

    @property
    def has_counts(self) -> bool:
        return bool(self._tally)

    def checkpoint(self) -> int:
        """
        Move what the write-ahead log still holds into the file, as far as no reader is in the way; return how many
        bytes are left to be moved.
        """
        frames, done = self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return (frames - done) * PAGE

    @property
    def claimed(self) -> int:
        """Bytes the file may yet grow by when the write-ahead log is moved into it."""
        return self.wal_frames * PAGE


def open_active(folder: Path, at: int, *, behind: Offset, most_events: int, on_step: Step) -> ActiveSegment:
    """
    The newest segment; a new one if there is none, or nothing of it can be read: then it is set aside. No offset is
    given out twice, whatever was lost.

    at           unix milliseconds
    behind       the highest offset that anybody remembers
    most_events  that a segment gets before it is sealed, but for those of a group
    """
    firsts = list_segments(folder)
    if not firsts:
        if behind > START:
            log.error("log_lost", goes_on_at=behind + 1, lost="every event that was not delivered yet")
        create(folder, behind + 1, at, on_step)
        return ActiveSegment(folder, behind + 1, on_step)
    first = firsts[-1]
    try:
        active = ActiveSegment(folder, first, on_step)
    except DAMAGED as error:
        path, begins = path_of(folder, first), max(first + most_events + ONE_GROUP, behind + 1)
        aside = set_aside(path)
        log.error(
            "segment_damaged",
            segment=str(path),
            set_aside=aside.name,
            error=str(error),
            lost=f"events from offset {first} on that were not delivered yet",
            goes_on_at=begins,
        )
        create(folder, begins, at, on_step, lost_from=first)
        return ActiveSegment(folder, begins, on_step)
    if active.next_offset <= behind:
        if not active.damaged:
            lost = f"events from offset {active.next_offset} to {behind}, as far as they were not delivered yet"
            log.error("log_ends_early", segment=str(active.path), lost=lost, goes_on_at=behind + 1)
        active.next_offset = behind + 1
    return active


def _beyond(path: Path, first: Offset) -> Offset:
    """An offset that a file whose newest rows cannot be read has surely not reached."""
    pages = sum(part.stat().st_size for part in with_companions(path) if part.exists()) // PAGE + 1
    return first + pages * MOST_ROWS_A_PAGE
