"""
What is done to sealed segments, in a thread of its own and off the commit path: their counts are rolled up, their
indexes made, their ids turned into a filter; in the end they are dropped whole. All of it can be done again after a
crash.
"""

import errno
import sys
import threading
import time
from array import array
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeAlias

import apsw
import structlog
from msgspec import Struct

from milonga.eventlog.active import ActiveSegment
from milonga.eventlog.api import START, Offset
from milonga.eventlog.aside import DAMAGED, UNREADABLE, set_aside
from milonga.eventlog.counters import MINUTE, counts_of, forget, is_rolled, open_totals, roll, totals_path
from milonga.eventlog.erasing import Found, erase_segment
from milonga.eventlog.folders import sync_folder
from milonga.eventlog.known import DAY, KnownIds
from milonga.eventlog.record import INDEXES, UnknownFormat
from milonga.eventlog.room import Room
from milonga.eventlog.salvage import salvage_sealed
from milonga.eventlog.segment import (
    Step,
    has_indexes,
    list_segments,
    open_sealed,
    open_to_read,
    open_to_write,
    path_of,
    remove,
)
from milonga.identity.duplicates import filter_key, key_of
from milonga.privacy.regulation import Doomed

RETRY = 10.0  #: seconds until what failed, say on a full disk, is tried again
IN_MEMORY = 4  #: sealed segments without an index whose ids a start reads into memory; more are searched row by row

log = structlog.get_logger("milonga.eventlog")


FilterKeys: TypeAlias = "array[int]"
"""See milonga.identity.duplicates.filter_key; stored with the indexes, as 8 bytes each, little-endian."""


class Sealed(Struct):
    """
    first, last  offsets
    newest_at    unix milliseconds: when the last of its events arrived; None if not looked up yet
    """

    first: Offset
    last: Offset
    newest_at: int | None = None


class Keeper:
    """`sealed`, `load`, `trim` and `drop` may be called from any thread; the rest is the keeper's own."""

    def __init__(
        self,
        folder: Path,
        known: KnownIds,
        *,
        clock: Callable[[], int],
        reserve: int | None = None,
        on_step: Step,
        tell_writer: Callable[[Callable[[], None]], None],
    ) -> None:
        """
        reserve      see Room
        tell_writer  has a function called in the writer's thread, which owns `known`
        """
        self._room = Room(folder, reserve)
        self._folder = folder
        self._known = known
        self._clock = clock
        self._on_step = on_step
        self._tell_writer = tell_writer
        try:
            self._totals = open_totals(folder)
        except DAMAGED as error:
            aside = set_aside(totals_path(folder))
            log.error("counts_damaged", set_aside=aside.name, error=str(error), lost="counts of segments long gone")
            self._totals = open_totals(folder)
        self._segments: dict[Offset, Sealed] = {}
        self._unfinished: list[Offset] = []
        self._remembered: set[Offset] = set()  #: what `known` still has
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._stopping = False
        self._gentle = False
        self._thread = threading.Thread(target=self._run, name="eventlog-keeper", daemon=True)

    def take_over(self, segments: list[Sealed]) -> None:
        """
        At the start, before the threads: what a former process left. Only segments under a day old matter to
        duplicates; those without indexes are few, one or two of a crash, and are made good first. So is what a damaged
        write-ahead log hides.
        """
        in_memory = 0
        for segment in reversed(segments):
            self._segments[segment.first] = segment
        young = True
        for segment in reversed(segments):
            path = path_of(self._folder, segment.first)
            try:
                salvage_sealed(path, segment.first, segment.last)
                with closing(open_sealed(path)) as connection:
                    indexed = has_indexes(connection)
                    segment.newest_at = _newest_at(connection)
                    young = young and self._clock() - (segment.newest_at or 0) < DAY
                    if young and not indexed and in_memory < IN_MEMORY:
                        in_memory += 1
                        rows = connection.execute("SELECT offset, source, message_id FROM events")
                        ids = {key_of(source, message_id): offset for offset, source, message_id in rows}
                        self._known.hold(segment.first, ids)
                    elif young:
                        self._known.filter.expect(segment.first)
            except UNREADABLE as error:
                log.error("segment_damaged", segment=segment.first, error=str(error))
                continue
            if young:
                self._remembered.add(segment.first)
            if not indexed or not is_rolled(self._totals, segment.first):
                self._unfinished.append(segment.first)
            elif young:
                self._jobs.put(lambda first=segment.first: self._load_filter(first))  # type: ignore[misc]
            if not young and indexed:
                break  # whatever is older was finished long ago

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finishes what it is at; the rest is done after the next start."""
        self._stopping = True
        self._jobs.put(None)
        self._thread.join()
        self._totals.close()

    def be_gentle(self) -> None:
        """From now on the writer has work, too."""
        self._gentle = True

    def _step_aside(self) -> None:
        """Let the writer have the interpreter: to ask for it would take it 5 ms each time."""
        if self._gentle:
            time.sleep(0.0001)

    def _run(self) -> None:
        for first in tuple(self._unfinished):
            self._try_finish(first, None)
        while True:
            try:
                job = self._jobs.get(timeout=RETRY)
            except Empty:
                job = self._retry
            if job is None or self._stopping:
                return
            try:
                job()
                self._forget_old()
            except Exception as error:  # whatever it is, the next job must be done
                log.warning("keeper_job_failed", error=f"{type(error).__name__}: {error}")

    def _retry(self) -> None:
        for first in tuple(self._unfinished):
            self._try_finish(first, None)

    # What becomes of a segment

    def sealed(self, old: ActiveSegment) -> None:
        segment = Sealed(old.first, old.next_offset - 1, old.newest_at or None)
        keys = old.filter_keys

        def finish() -> None:
            self._segments[old.first] = segment
            self._unfinished.append(old.first)
            self._remembered.add(old.first)
            self._try_finish(old.first, keys)
            old.connection.close()

        self._jobs.put(finish)

    def _try_finish(self, first: Offset, keys: "FilterKeys | None") -> None:
        try:
            self._finish(first, keys)
        except (*DAMAGED, UnicodeDecodeError) as error:
            self._unfinished.remove(first)  # it will not get better
            log.error("segment_damaged", segment=first, error=str(error))
        except (apsw.Error, OSError, UnknownFormat) as error:
            log.warning("segment_unfinished", segment=first, error=f"{type(error).__name__}: {error}")

    def _finish(self, first: Offset, keys: "FilterKeys | None") -> None:
        segment, path = self._segments[first], path_of(self._folder, first)
        with closing(open_to_write(path)) as connection:
            roll(self._totals, first, counts_of(connection))
            self._on_step("rolled")
            if not has_indexes(connection):
                if self._room.is_short(path.stat().st_size):
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                    raise OSError(errno.ENOSPC, self._room.refusal)
                connection.pragma("temp_store", "memory")
                with connection:
                    connection.execute(INDEXES)
                    if segment.newest_at is None:
                        segment.newest_at = _newest_at(connection)
                    stored_keys = _to_bytes(keys if keys is not None else _keys_of(connection))
                    connection.execute(
                        "INSERT OR REPLACE INTO meta VALUES ('newest_at', ?), ('filter_keys', ?)",
                        (segment.newest_at, stored_keys),
                    )
                self._on_step("indexed")
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._unfinished.remove(first)
        if first in self._remembered:
            self._load_filter(first, keys)

    def _load_filter(self, first: Offset, keys: "FilterKeys | None" = None) -> None:
        if self._stopping or first not in self._segments:
            return
        if keys is None:
            with closing(open_sealed(path_of(self._folder, first))) as connection:
                found = connection.execute("SELECT value FROM meta WHERE key = 'filter_keys'").get
                keys = _from_bytes(found) if isinstance(found, bytes) else _keys_of(connection)
        count, ids = len(keys), self._known.filter.filter_of(keys, self._step_aside)

        def learn() -> None:
            self._known.filter.learn(first, ids, count)
            self._known.settle(first)
            self._known.release(first)

        self._tell_writer(learn)

    # How a segment ends

    def trim(self, upto: Offset) -> "Future[Offset]":
        """Drop sealed segments that end at or before `upto`. The last offset that is gone."""
        return self._later(lambda: self._drop(lambda segment: segment.last <= upto))

    def drop(self, age: int, keep_from: Offset, *, only_one: bool = False) -> "Future[Offset]":
        """
        Drop sealed segments whose events are all older than `age` milliseconds and before `keep_from`; one at most if
        `only_one`. The last offset that is gone.
        """
        before = self._clock() - age

        def is_old(segment: Sealed) -> bool:
            return segment.last < keep_from and self._newest_at_of(segment) < before

        return self._later(lambda: self._drop(is_old, 1 if only_one else None))

    def erase(self, first: Offset, doomed: Doomed, *, at: int, salt: bytes) -> "Future[Found | None]":
        """
        See milonga.eventlog.erasing; None if the segment is gone. What raises may be tried again, but for
        UNREADABLE.
        """
        answer: Future[Found | None] = Future()

        def run() -> None:
            try:
                answer.set_result(self._erase(first, doomed, at=at, salt=salt))
            except BaseException as error:
                answer.set_exception(error)

        self._jobs.put(run)
        return answer

    def _erase(self, first: Offset, doomed: Doomed, *, at: int, salt: bytes) -> Found | None:
        path = path_of(self._folder, first)
        if first not in self._segments:
            return None
        if first in self._unfinished:
            self._finish(first, None)
        with closing(open_to_write(path)) as connection:
            if not has_indexes(connection):
                raise apsw.CorruptError(f"{path.name} has no indexes: it is damaged")
            if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get[0]:
                raise apsw.BusyError(f"{path.name} is being read")
        if self._room.is_short(path.stat().st_size):
            raise OSError(errno.ENOSPC, self._room.refusal)
        found = erase_segment(self._folder, first, doomed, at=at, salt=salt, on_step=self._on_step)
        if found.segments:
            self._tell_writer(lambda: self._known.settle(first))
        return found

    def forget_counts(self, age: int) -> "Future[Offset]":
        """Counts of minutes more than `age` milliseconds ago."""
        before = (self._clock() - age) // MINUTE

        def job() -> Offset:
            forget(self._totals, before)
            return START

        return self._later(job)

    def _later(self, job: Callable[[], Offset]) -> "Future[Offset]":
        answer: Future[Offset] = Future()

        def run() -> None:
            try:
                answer.set_result(job())
            except BaseException as error:
                answer.set_exception(error)

        self._jobs.put(run)
        return answer

    def _drop(self, may_go: Callable[[Sealed], bool], most: int | None = None) -> Offset:
        """Oldest first, `most` of them, and only as long as no older one stays: a log has no holes."""
        for first in sorted(self._segments)[:most]:
            segment = self._segments[first]
            if not may_go(segment):
                break
            if first in self._unfinished:
                self._try_roll(first)
            remove(path_of(self._folder, first))
            del self._segments[first]
            if first in self._unfinished:
                self._unfinished.remove(first)
            self._forget(first)
            self._on_step("dropped")
        sync_folder(self._folder)
        return next(iter(list_segments(self._folder)), START + 1) - 1

    def _try_roll(self, first: Offset) -> None:
        """Its counts are kept if they can be read and written. A full disk must not keep us from freeing it."""
        try:
            with closing(open_to_read(path_of(self._folder, first))) as connection:
                roll(self._totals, first, counts_of(connection))
        except (apsw.Error, OSError, UnknownFormat) as error:
            log.error("counts_lost", segment=first, error=f"{type(error).__name__}: {error}")

    def _forget(self, first: Offset) -> None:
        self._remembered.discard(first)
        self._tell_writer(lambda: self._known.forget(first))

    def _forget_old(self) -> None:
        """Ids are remembered for a day."""
        for first in sorted(self._remembered):
            if self._clock() - self._newest_at_of(self._segments[first]) < DAY:
                break
            self._forget(first)

    def _newest_at_of(self, segment: Sealed) -> int:
        if segment.newest_at is None:
            path = path_of(self._folder, segment.first)
            try:
                with closing(open_sealed(path)) as connection:
                    segment.newest_at = _newest_at(connection) or 0
            except UNREADABLE:
                segment.newest_at = path.stat().st_mtime_ns // 1_000_000
        return segment.newest_at


def _newest_at(connection: apsw.Connection) -> int | None:
    found = connection.execute("SELECT value FROM meta WHERE key = 'newest_at'").get
    if found is None:
        found = connection.execute("SELECT max(received_at) FROM events").get
    return found if isinstance(found, int) else None


def _keys_of(connection: apsw.Connection) -> FilterKeys:
    return array("Q", (filter_key(row[0]) for row in connection.execute("SELECT message_id FROM events")))


def _to_bytes(keys: FilterKeys) -> bytes:
    if sys.byteorder == "big":
        keys = keys[:]
        keys.byteswap()
    return keys.tobytes()


def _from_bytes(stored: bytes) -> FilterKeys:
    keys = array("Q")
    keys.frombytes(stored)
    if sys.byteorder == "big":
        keys.byteswap()
    return keys
