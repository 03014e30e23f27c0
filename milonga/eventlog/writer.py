"""
The one thread that writes. It takes all that waits, decides what is a duplicate, writes the rest in one transaction and
answers: the next group forms while this one is being made durable, and nobody waits on purpose.
"""

import errno
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from queue import Empty, SimpleQueue
from traceback import format_tb
from typing import Any

import apsw
import structlog
from msgspec import Struct

from milonga.eventlog.active import ROW_OVERHEAD, ActiveSegment
from milonga.eventlog.api import Discard, Duplicate, LogFull, Offset, Position, Refusal
from milonga.eventlog.aside import with_companions
from milonga.eventlog.bell import Bells
from milonga.eventlog.checkpoint import Checkpointer
from milonga.eventlog.counters import ACCEPTED, DUPLICATE, MINUTE, REFUSED
from milonga.eventlog.known import KnownIds
from milonga.eventlog.room import Room
from milonga.eventlog.segment import Step, create
from milonga.eventlog.work import Answers, Appending, Discarding, Work
from milonga.identity.duplicates import filter_key as filter_key_of

GROUP_EVENTS = 2_000  #: of one transaction
GROUP_BYTES = 4 * 1024 * 1024
PATIENCE = 1.0  #: seconds that the first appends wait for filters, without which each id is looked up in every segment
TICK = 1.0  #: seconds; counters are at most this late, and a quiet segment is sealed this soon

log = structlog.get_logger("milonga.eventlog")


class SealAt(Struct, frozen=True):
    """
    When a segment has had enough; whichever comes first.

    size    bytes
    events  number; about 100 bytes of memory each
    age     milliseconds since it was made
    """

    size: int = 128 * 1024 * 1024
    events: int = 200_000
    age: int = 24 * 60 * 60 * 1000


_events_of, _size_of = attrgetter("events"), attrgetter("size")

_position: Callable[[tuple[int, Offset]], Position] = partial(tuple.__new__, Position)
"""`Position(*...)` without the Python function that makes named tuples: it took a third of a microsecond."""


class Writer:
    """Everything below `run` happens in the writer's thread."""

    def __init__(
        self,
        folder: Path,
        active: ActiveSegment,
        known: KnownIds,
        *,
        clock: Callable[[], int],
        seal_at: SealAt,
        reserve: int | None,
        most: int | None,
        on_step: Step,
        on_group: Callable[[Answers], None],
        on_sealed: Callable[[ActiveSegment], None],
        on_warm: Callable[[], None],
    ) -> None:
        """
        clock      unix milliseconds
        reserve, most  see Room
        on_group   gets the answers of a group
        on_sealed  gets the former active segment, to look after it in another thread
        on_warm    the first appends are no longer held back for the filters
        """
        self._folder = folder
        self._active = active
        self._known = known
        self._clock = clock
        self._seal_at = seal_at
        self._on_step = on_step
        self._on_group = on_group
        self._on_sealed = on_sealed
        self._on_warm = on_warm
        self._room = Room(folder, reserve, most)
        self._sealed_wals: list[Path] = []
        self._bells = Bells(folder)
        self._checkpointer = Checkpointer()
        self._work: SimpleQueue[Work] = SimpleQueue()
        self._held: deque[Appending | Discarding | None] = deque()  # taken out of `_work`, and still to be written
        self._flushed = time.monotonic()
        self._refusing = False
        self._thread = threading.Thread(target=self.run, name="eventlog-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, work: Work) -> None:
        """From any thread."""
        self._work.put(work)

    def join(self) -> None:
        self._thread.join()

    def run(self) -> None:
        self._checkpointer.start()
        self._warm_up()
        self._on_warm()
        ended = False
        while not ended:
            group, ended = self._take()
            if group:
                self._write(group)
            elif not ended:
                self._tick()
        self._end()

    def _warm_up(self) -> None:
        """Hold back what is to be written until the filters are there, or our patience ends."""
        end = time.monotonic() + PATIENCE
        while self._known.filter.is_unsure and (left := end - time.monotonic()) > 0:
            try:
                work = self._work.get(timeout=left)
            except Empty:
                return
            self._hold(work)

    def _hold(self, work: Work) -> None:
        if work is None:
            self._held.append(None)
        elif isinstance(work, list):
            self._held.extend(work)
        else:
            self._call(work)

    def _take(self) -> tuple[list[Appending | Discarding], bool]:
        """What waits now, or what comes within a tick; and whether it is time to end."""
        group: list[Appending | Discarding] = []
        events = size = 0
        held = self._held
        while events < GROUP_EVENTS and size < GROUP_BYTES:
            if not held:
                try:
                    more = self._work.get_nowait() if group else self._work.get(timeout=TICK)
                except Empty:
                    break
                if isinstance(more, list) and not group:  # mostly the whole group: nothing needs counting one by one
                    events, size = sum(map(_events_of, more)), sum(map(_size_of, more))
                    if events <= GROUP_EVENTS and size <= GROUP_BYTES:
                        group = more
                        continue
                    events = size = 0
                self._hold(more)
                continue
            work = held.popleft()
            if work is None:
                return group, True
            events += work.events
            size += work.size
            group.append(work)
        return group, False

    @staticmethod
    def _call(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            log.error("writer_call_failed", error=repr(error), where=format_tb(error.__traceback__))

    def _write(self, group: list[Appending | Discarding]) -> None:
        """All of the group, or nothing of it."""
        try:
            self._want_room()
            if self._is_enough():
                self._seal()
            answers = self._write_group(group)
            self._worked()
        except (apsw.Error, OSError) as error:
            self._failed(error)
            answers = [(work, LogFull(f"{type(error).__name__}: {error}")) for work in group]
        except Exception as error:  # a fault of ours must not end the thread that everybody waits for
            # not log.exception, which may print local variables: they are the users' events
            log.error("append_failed", error=type(error).__name__, where=format_tb(error.__traceback__))
            answers = [(work, error) for work in group]
        self._on_step("before-answer")
        self._on_group(answers)
        self._checkpointer.after_commit(self._active)

    def _want_room(self) -> None:
        """OSError if what is left of the disk is left to others."""
        sealed = self._claimed_by_sealed()
        if self._room.is_short(self._active.claimed + sealed):
            claimed = self._active.checkpoint()
            self._room.look_again()
            if self._room.is_short(claimed + sealed):
                raise OSError(errno.ENOSPC, self._room.refusal)

    def _claimed_by_sealed(self) -> int:
        """Bytes that the keeper has yet to move out of write-ahead logs; see ActiveSegment.claimed."""
        sizes = {}
        for wal in self._sealed_wals:
            with suppress(FileNotFoundError):
                sizes[wal] = wal.stat().st_size
        self._sealed_wals = [wal for wal, size in sizes.items() if size]
        return sum(sizes.values())

    def _write_group(self, group: list[Appending | Discarding]) -> Answers:
        active, find = self._active, self._known.find
        offset = active.next_offset
        answers: Answers = []
        flat: list[Any] = []
        discards: list[Discard] = []
        here: dict[tuple[int, str], Offset] = {}  # ids of this group
        ids: dict[int, Offset] = {}
        filter_keys: list[int] = []
        accepted: list[tuple[int, int]] = []  # minute, source
        duplicates: list[tuple[int, int]] = []
        newest_at = active.newest_at
        size = 0
        for work in group:
            if isinstance(work, Discarding):
                discards += work.discards
                answers.append((work, None))
                continue
            places: list[Position | Duplicate] = []
            for row, key in work.rows:
                at, source = row[0], row[1]
                if key is not None:
                    id_ = row[2]
                    filter_key = filter_key_of(id_)
                    first = here.get((source, id_)) or find(key, filter_key, source, id_, at)
                    if first is not None:
                        places.append(Duplicate(Position(0, first)))
                        duplicates.append((at // MINUTE, source))
                        continue
                    here[source, id_] = ids[key] = offset
                    filter_keys.append(filter_key)
                flat.append(offset)
                flat += row
                places.append(_position((0, offset)))
                accepted.append((at // MINUTE, source))
                offset += 1
                if at > newest_at:
                    newest_at = at
            size += work.size
            answers.append((work, places))
        written = offset - active.next_offset
        if written or discards:
            now = time.monotonic()
            due = active.has_counts and now - self._flushed >= TICK
            active.write(flat, written, discards, counters=due)
            if due:
                self._flushed = now
            active.next_offset = offset
            active.events += written
            active.size += size + written * ROW_OVERHEAD
            self._room.wrote(size + written * ROW_OVERHEAD)
            active.ids.update(ids)
            active.filter_keys.extend(filter_keys)
            active.newest_at = newest_at
            self._bells.ring()
        for name, counted in ((ACCEPTED, accepted), (DUPLICATE, duplicates)):
            for (minute, source), n in Counter(counted).items():
                active.count(minute, source, name, n)
        return answers

    def seal(self) -> "Future[None]":
        """
        Have the active segment sealed now, unless it is empty. From any thread; what was submitted before may be in the
        next one.
        """
        answer: Future[None] = Future()

        def seal() -> None:
            try:
                if self._active.events or self._active.damaged:
                    self._seal()
                answer.set_result(None)
            except BaseException as error:
                if isinstance(error, apsw.Error | OSError):
                    self._failed(error)
                answer.set_exception(error)

        self.submit(seal)
        return answer

    def count_refused(self, refusals: Sequence[Refusal]) -> None:
        """Written with the next counters that are due."""
        for refusal in refusals:
            self._active.count(refusal.at // MINUTE, refusal.source, REFUSED + refusal.code, refusal.count)

    @property
    def refuses(self) -> bool:
        """Whether the last thing to be written was refused. From any thread."""
        return self._refusing

    def _worked(self) -> None:
        if self._refusing:
            self._refusing = False
            log.info("append_works_again", segment=str(self._active.path))

    def _failed(self, error: Exception) -> None:
        """Leave a state in which the next append can succeed."""
        if not self._refusing:
            log.error("append_refused", segment=str(self._active.path), error=f"{type(error).__name__}: {error}")
        self._refusing = True
        if isinstance(error, apsw.CorruptError | apsw.NotADBError):
            self._active.damaged = True

    def _is_enough(self) -> bool:
        active, at = self._active, self._seal_at
        if active.damaged:
            return True
        if not active.events:
            return False
        return active.size >= at.size or active.events >= at.events or self._clock() - active.created_at >= at.age

    def _seal(self) -> None:
        """
        The next segment's being there is what seals this one. Its counts must be in it before.
        """
        old = self._active
        if not old.damaged and old.has_counts:
            old.write([], 0, (), counters=True)
        first = old.next_offset
        create(self._folder, first, self._clock(), self._on_step)
        self._active = ActiveSegment(self._folder, first, self._on_step)
        self._known.hold(first, self._active.ids)
        self._checkpointer.leave()
        self._sealed_wals.append(with_companions(old.path)[1])
        self._on_sealed(old)
        self._bells.ring()
        self._on_step("sealed")

    def _tick(self) -> None:
        """
        Nothing to write: what else is due. After a refusal that is to try again: who is told that the log cannot be
        written may send nothing until it can.
        """
        try:
            if self._active.has_counts and not self._active.damaged:
                self._active.write([], 0, (), counters=True)
                self._flushed = time.monotonic()
            if self._is_enough():
                self._seal()
            if self._refusing:
                self._want_room()
                self._active.try_out()
                self._worked()
        except (apsw.Error, OSError) as error:
            self._failed(error)

    def _end(self) -> None:
        self._checkpointer.stop()
        try:
            if self._active.has_counts and not self._active.damaged:
                self._active.write([], 0, (), counters=True)
        except (apsw.Error, OSError) as error:
            self._failed(error)
        self._bells.close()
        self._known.close()
        self._active.connection.close()
