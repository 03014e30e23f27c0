"""
The event log of one machine: SQLite files in one folder, one writing process. Shape and reasons:
docs/decisions/0003-event-log-files.md.
"""

import asyncio
import fcntl
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import apsw
from msgspec import Struct, field

from milonga.eventlog.active import open_active
from milonga.eventlog.api import (
    START,
    Damaged,
    Discard,
    Duplicate,
    LogFull,
    Offset,
    Page,
    Passing,
    Position,
    Refusal,
    Stored,
)
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.erasing import is_concerned, set_aside_files
from milonga.eventlog.folders import make_folder
from milonga.eventlog.keeper import Keeper, Sealed
from milonga.eventlog.known import KnownIds
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.record import Record, record
from milonga.eventlog.segment import (
    Step,
    list_segments,
    no_step,
    open_to_read,
    path_of,
    remove_strays,
)
from milonga.eventlog.work import Answers, Appending, Discarding
from milonga.eventlog.writer import SealAt, Writer
from milonga.identity.duplicates import SurelyNew, key_of
from milonga.privacy.regulation import Deletion, Doomed
from milonga.spec.stored import Stamped

WAITING_EVENTS = 20_000  #: more are refused: the disk is slower than the senders
WAITING_BYTES = 64 * 1024 * 1024
ENOUGH = 100  #: events to be handed to the writer at once: it writes them while more are decoded


class LogInUse(Exception):
    """Another process writes this log. Stop it first, or give this one another data directory."""


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Erasing(Struct):
    """
    What `SqliteLog.erase` did.

    events      of each regulation
    segments    written anew
    samples     of discarded events that were dropped
    unreadable  file -> why: it may still hold something
    """

    events: Counter[int] = field(default_factory=Counter)
    segments: int = 0
    samples: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)


class SqliteLog:
    """An EventLog and its Ledger. Belongs to the event loop it was opened on."""

    def __init__(self, folder: Path, lock: int) -> None:
        self._lock, self._folder = lock, folder
        self._loop = asyncio.get_running_loop()
        self._reader = SqliteLogReader(folder)
        self._gathered: list[Appending | Discarding] = []
        self._gathered_events = 0
        self._waiting_events = 0
        self._waiting_bytes = 0
        self._closed = False
        self._writer: Writer
        self._keeper: Keeper

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        clock: Callable[[], int] = now_ms,
        seal_at: SealAt | None = None,
        filter_memory: int | None = None,
        behind: Offset = START,
        reserve: int | None = None,
        most: int | None = None,
        on_step: Step = no_step,
    ) -> "SqliteLog":
        """
        folder         the log's own, such as `<data>/log`; made if need be
        clock          unix milliseconds
        seal_at        when a segment has had enough
        filter_memory  bytes for the filters of message ids
        behind         the highest offset that anybody remembers: even if the log does not, it gives none up to it again
        reserve        bytes of the disk to leave to others; appends are refused before. Default: by its size
        most           bytes the log may take, about; appends are refused beyond. Default: as many as there are
        on_step        for tests: called, in the thread that does it, at each step of the write path
        LogInUse, UnknownFormat, OSError or apsw.Error if it cannot be opened.
        """
        log = cls(folder, _lock(folder))
        try:
            await asyncio.to_thread(
                log._open,
                folder,
                clock=clock,
                seal_at=seal_at or SealAt(),
                memory=filter_memory,
                behind=behind,
                reserve=reserve,
                most=most,
                on_step=on_step,
            )
        except BaseException:
            os.close(log._lock)
            raise
        return log

    def _open(
        self,
        folder: Path,
        *,
        clock: Callable[[], int],
        seal_at: SealAt,
        memory: int | None,
        behind: Offset,
        reserve: int | None,
        most: int | None,
        on_step: Step,
    ) -> None:
        remove_strays(folder)
        active = open_active(folder, clock(), behind=behind, most_events=seal_at.events, on_step=on_step)
        firsts = list_segments(folder)
        known = KnownIds(folder, SurelyNew() if memory is None else SurelyNew(memory=memory))
        known.hold(active.first, active.ids)
        self._keeper = Keeper(
            folder,
            known,
            clock=clock,
            reserve=reserve,
            on_step=on_step,
            tell_writer=lambda call: self._writer.submit(call),
        )
        sealed = [Sealed(first, after - 1) for first, after in pairwise(firsts)]
        self._keeper.take_over(sealed)
        self._writer = Writer(
            folder,
            active,
            known,
            clock=clock,
            seal_at=seal_at,
            reserve=reserve,
            most=most,
            on_step=on_step,
            on_group=self._on_group,
            on_sealed=self._keeper.sealed,
            on_warm=self._keeper.be_gentle,
        )
        self._writer.start()
        self._keeper.start()

    # Writing

    @property
    def writable(self) -> bool:
        """
        Whether an append would be tried, and the last one was not refused. After a full disk it is true again within
        about a second of there being room, also if nobody appends.
        """
        is_behind = self._waiting_events >= WAITING_EVENTS or self._waiting_bytes >= WAITING_BYTES
        return not (self._closed or self._writer.refuses or is_behind)

    async def append(self, events: Sequence[Stamped]) -> list[Position | Duplicate]:
        """See EventLog. LogFull also if too much waits for the disk already."""
        return await self.submit(events)

    def submit(self, events: Sequence[Stamped]) -> "asyncio.Future[list[Position | Duplicate]]":
        """See EventLog."""
        answer: asyncio.Future[list[Position | Duplicate]] = self._loop.create_future()
        if not events:
            answer.set_result([])
            return answer
        rows: list[tuple[Record, int | None]] = []
        size = 0
        for event in events:
            row = record(event)
            rows.append((row, key_of(row[1], row[2]) if event.stamp.own_message_id else None))
            size += len(row[5]) + len(row[6])
        self._submit(Appending(rows, len(rows), size, answer))
        return answer

    async def discard(self, discards: Sequence[Discard]) -> None:
        """See Ledger."""
        if not discards:
            return
        answer: asyncio.Future[None] = self._loop.create_future()
        self._submit(Discarding(discards, sum(len(discard.excerpt) for discard in discards), answer))
        await answer

    def refused(self, refusals: Sequence[Refusal]) -> None:
        """See Ledger."""
        self._writer.submit(partial(self._writer.count_refused, tuple(refusals)))

    def _submit(self, work: Appending | Discarding) -> None:
        if self._closed:
            raise LogFull("the log is closed")
        if self._waiting_events >= WAITING_EVENTS or self._waiting_bytes >= WAITING_BYTES:
            raise LogFull(f"{self._waiting_events} events wait for the disk already")
        self._waiting_events += work.events
        self._waiting_bytes += work.size
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(work)
        self._gathered_events += work.events
        if self._gathered_events >= ENOUGH:
            self._hand_over()

    def _hand_over(self) -> None:
        """
        All that came in one turn of the event loop: the writer is woken once for it, and begins with a group rather
        than with its first event. Nothing waits for more to come.
        """
        if self._gathered:
            gathered, self._gathered, self._gathered_events = self._gathered, [], 0
            self._writer.submit(gathered)

    def _on_group(self, answers: Answers) -> None:
        """In the writer's thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._answer, answers)

    def _answer(self, answers: Answers) -> None:
        for work, result in answers:
            self._waiting_events -= work.events
            self._waiting_bytes -= work.size
            answer = work.answer
            if answer.done():
                continue  # cancelled; kept all the same
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
        self._reader.wake()

    # Reading

    async def read(self, partition: int, after: Offset, limit: int) -> list[Stored | Damaged]:
        """See EventLog; at most about 8 MiB at once."""
        return await self._reader.read(partition, after, limit)

    async def skim(self, partition: int, after: Offset, limit: int, most: int, passing: Passing) -> Page | None:
        """See EventLog."""
        return await self._reader.skim(partition, after, limit, most, passing)

    async def wait(self, partition: int, after: Offset, timeout: float) -> bool:
        """See EventLog."""
        return await self._reader.wait(partition, after, timeout)

    async def end(self, partition: int) -> Offset:
        """See EventLog."""
        return await self._reader.end(partition)

    async def begin(self, partition: int) -> Offset:
        """See EventLog."""
        return await self._reader.begin(partition)

    def assignments(self, reader: str) -> list[int]:
        """One machine has one partition."""
        return [0]

    # Giving up

    async def trim(self, partition: int, upto: Offset) -> Offset:
        """See EventLog. The active segment stays; a quiet one is sealed after a day."""
        if partition != 0:
            raise ValueError(f"A log on one machine has partition 0 only, not {partition}")
        return await asyncio.wrap_future(self._keeper.trim(upto))

    async def drop_older_than(self, age: int, keep_from: Offset) -> Offset:
        """
        Retention: give up segments whose events are all older than `age` milliseconds and before `keep_from`.
        Return the last offset that is gone.
        """
        return await asyncio.wrap_future(self._keeper.drop(age, keep_from))

    async def drop_oldest(self, age: int, keep_from: Offset) -> Offset:
        """The same, but no more than one segment."""
        return await asyncio.wrap_future(self._keeper.drop(age, keep_from, only_one=True))

    async def forget_counts(self, age: int) -> None:
        """Counts per minute older than `age` milliseconds; those of segments still here stay with them."""
        await asyncio.wrap_future(self._keeper.forget_counts(age))

    # Erasing

    async def flush(self) -> None:
        """What was submitted before this is durable, or was refused."""
        answer: asyncio.Future[None] = self._loop.create_future()
        self._submit(Discarding((), 0, answer))
        await answer

    async def erase(self, deletions: Sequence[Deletion], *, at: int, salt: bytes) -> Erasing:
        """
        Have nothing left of these users' events in the log's files (milonga.eventlog.erasing). It can be asked again
        after it raised OSError or apsw.Error, or after a crash: what is done is not done twice.
        """
        doomed = Doomed(deletions)
        done = Erasing()
        if await asyncio.to_thread(self._concerns_active, doomed):
            await asyncio.wrap_future(self._writer.seal())
        for first in list_segments(self._folder)[:-1]:
            try:
                found = await asyncio.wrap_future(self._keeper.erase(first, doomed, at=at, salt=salt))
            except UNREADABLE as error:
                done.unreadable[path_of(self._folder, first).name] = str(error)
                continue
            if found is not None:
                done.events.update(found.by)
                done.segments += found.segments
                done.samples += found.samples
        done.unreadable.update(dict.fromkeys(set_aside_files(self._folder), "it was damaged and set aside"))
        return done

    def _concerns_active(self, doomed: Doomed) -> bool:
        try:
            with closing(open_to_read(path_of(self._folder, list_segments(self._folder)[-1]))) as connection:
                return is_concerned(connection, doomed)
        except (apsw.CantOpenError, *UNREADABLE):
            return True  # sealed, it is told of

    async def close(self) -> None:
        """Keep what was acknowledged, release files and threads. Appends under way finish first."""
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        self._writer.submit(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._keeper.stop)
        await self._reader.close()
        os.close(self._lock)


def _lock(folder: Path) -> int:
    """Held until the process ends, however it ends."""
    make_folder(folder)
    folder.chmod(0o700)
    lock = os.open(folder / "writer.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode(errors="replace").strip()
        os.close(lock)
        raise LogInUse(f"Process {holder or '?'} writes {folder}: stop it, or use another data directory") from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock
