"""
Making the index: the log is read as it grows, stretches are closed, dropped with their segment, and made again if their
file is lost or their segment was written anew. On one event loop, for nothing else.

What is in memory is read again after a crash; how far each file goes lies in the file itself.
"""

import asyncio
import fcntl
import os
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
import structlog

from milonga.eventlog.api import START, Damaged, Offset, Stored
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.folders import make_folder
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.room import Room
from milonga.eventlog.segment import list_segments, path_of
from milonga.index.building import Building, Gone
from milonga.index.correcting import correct
from milonga.index.damage import is_whole
from milonga.index.deleted import deleted_since, forget
from milonga.index.files import Files
from milonga.index.memory import Memory
from milonga.index.news import MOST
from milonga.index.standing import Standing
from milonga.index.stretch import Identity, Stretch, Unknown, closed_path, identity_of, open_path, remove, stretches
from milonga.index.tail import PART, Tail
from milonga.index.terms import seen_in

BATCH: Final = 500  #: events read at once
GATHER: Final = 0.1  #: seconds in which events gather, once there are few
REMEMBER: Final = 2.0  #: seconds after which what is new about accounts and names is written
LOOK: Final = 1.0  #: seconds between looks at what became of the log's files
TIDY: Final = 3600.0  #: seconds
WAIT: Final = 1.0  #: seconds to wait for an event at a time
LONGEST_REST: Final = 0.25  #: seconds
GIVE_WAY: Final = 0.05  #: seconds that it stands back at most, before each batch, while somebody waits for an answer
LOCK: Final = "lock"
ROOM: Final = 64 * 1024 * 1024  #: bytes that closing a stretch may take for a while

log = structlog.get_logger("milonga.index")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Work:
    """`standing`, `tails` and `examine` may be used from any thread. To be made within `alone`."""

    def __init__(
        self,
        folder: Path,
        log_folder: Path,
        *,
        bell: str | None = None,
        clock: Callable[[], int] = now_ms,
        reserve: int | None = None,
        rest: float = 1.0,
        part: int = PART,
        workspace: Path | None = None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        folder, log_folder  `<data>/index` and `<data>/log`
        bell     see SqliteLogReader
        clock    unix milliseconds
        reserve  bytes of the disk to leave free; None: by its size
        rest     seconds of rest for each second of work, while there is much to catch up on
        part     events that are kept in memory
        workspace  path of workspace.db, which knows of deleted users
        busy     whether somebody waits for an answer of this process just now
        """
        self._folder, self._log, self._clock, self._rest, self._part = folder, log_folder, clock, rest, part
        self._workspace, self._busy = workspace, busy
        self._reader = SqliteLogReader(log_folder, bell=bell)
        self._files = Files(folder, log_folder)
        self._room = Room(folder, reserve)
        self._memory = Memory(folder)
        self._news = self._memory.news()
        self._next: Offset = START + 1  #: of the log; what is before it is known
        self._segment: Offset | None = None  #: the one that holds it
        self._live: Building | None = None  #: of that segment, unless its stretch is closed already
        self._waiting: list[tuple[Building, bool]] = []  #: read to their end; True: to be corrected after
        self._repair: Building | None = None
        self._to_repair: set[Offset] = set()
        self._identities: dict[Offset, Identity] = {}  #: of closed stretches
        self._suspects: set[Offset] = set()
        self._at: int | None = None
        self._remembered = self._looked = self._tidied = 0.0
        self.standing = Standing(START, None, START)

    # From any thread

    def tails(self) -> list[Tail]:
        """What is in memory, oldest first."""
        made = [*(one for one, _ in tuple(self._waiting)), self._repair, self._live]
        return [tail for one in made if one is not None for tail in one.tails]

    def examine(self, first: Offset) -> None:
        """A file could not be read: it is looked at, and made again if it is damaged."""
        self._suspects.add(first)

    # On its loop

    async def run(self, stopping: asyncio.Event) -> None:
        await self._begin()
        while not stopping.is_set():
            await self._give_way()
            began = time.monotonic()
            if began - self._looked >= LOOK:
                self._look()
            if self._room.is_short(ROOM):
                self._tell(f"It waits for room on the disk: {self._room.refusal}.")
                await _either(stopping.wait(), asyncio.sleep(WAIT))
                continue
            live = await self._read_on()
            repaired = await self._repair_on() if live < BATCH else False
            self._room.wrote(2_000 * live)
            self._remember(live)
            await self._tell_standing()
            worked = time.monotonic() - began
            if live >= BATCH or repaired:
                await asyncio.sleep(min(LONGEST_REST, worked * self._rest))
            elif live:
                await _either(stopping.wait(), asyncio.sleep(GATHER))
            else:
                await _either(stopping.wait(), self._reader.wait(0, self._next - 1, WAIT))

    async def _give_way(self) -> None:
        """Python does one thing at a time: what is asked goes first, what is remembered can wait a little."""
        until = time.monotonic() + GIVE_WAY
        while self._busy() and time.monotonic() < until:  # noqa: ASYNC110 - it is not of this loop
            await asyncio.sleep(GIVE_WAY / 10)

    async def close(self) -> None:
        for building in (*(one for one, _ in self._waiting), self._live, self._repair):
            if building is not None:
                building.close()
        self._files.close()
        self._memory.close()
        await self._reader.close()

    async def _begin(self) -> None:
        if self._memory.upto > await self._reader.end(0):  # another log than the one it knew
            log.warning("index.begins_anew", why="the log is shorter than what the index has seen of it")
            self._memory.close()
            for path in self._folder.iterdir():
                if path.name != LOCK:
                    path.unlink(missing_ok=True)
            self._memory = Memory(self._folder)
            self._news = self._memory.news()
        self._next = max(self._memory.upto + 1, await self._reader.begin(0))
        firsts = list_segments(self._log)
        for first in stretches(self._folder)[1] - set(firsts[-1:]):
            remove(open_path(self._folder, first))  # nobody knows what became of its segment meanwhile
        if firsts:
            self._enter(_segment_of(firsts, self._next), firsts)

    def _enter(self, segment: Offset, firsts: Sequence[Offset]) -> None:
        """The next event is in this segment."""
        if self._live is not None:
            self._live.write()
            self._waiting.append((self._live, False))
            self._looked = 0.0
        self._live, self._segment = None, segment
        if self._is_closed(segment):
            return
        try:
            self._live = Building(self._folder, self._log, segment, anew=segment != firsts[-1], part=self._part)
        except Gone:
            return
        self._to_repair.discard(segment)
        self._next = min(self._next, self._live.next)

    async def _read_on(self) -> int:
        """Some events at the end of what is known; how many."""
        batch = await self._reader.read(0, self._next - 1, BATCH)
        if not batch:
            return 0
        offset = batch[0].position.offset
        if self._segment is None or offset >= self._segment:
            firsts = list_segments(self._log)
            if firsts and (segment := _segment_of(firsts, offset)) != self._segment:
                self._next = offset
                self._enter(segment, firsts)
                batch = await self._reader.read(0, self._next - 1, BATCH)
                if not batch or _segment_of(firsts, batch[0].position.offset) != segment:
                    return len(batch)  # dropped this moment: next time
        for item in batch:
            self._take(item)
        return len(batch)

    def _take(self, item: Stored | Damaged) -> None:
        offset = item.position.offset
        to_live = self._live is not None and offset >= self._live.next
        to_news = offset > self._news.upto
        if isinstance(item, Damaged):
            if to_live and self._live is not None:
                self._live.skip(offset)
            if to_news:
                self._news.skip(offset)
        else:
            seen = seen_in(item)
            if to_live and self._live is not None:
                self._live.add(seen)
            if to_news:
                self._news.add(seen)
            self._at = seen.at
        self._next = offset + 1

    async def _repair_on(self) -> bool:
        """Some events of a stretch that must be made again."""
        if self._repair is None:
            if not self._to_repair:
                return False
            first = max(self._to_repair)
            self._to_repair.discard(first)
            try:
                self._repair = Building(self._folder, self._log, first, anew=True, part=self._part)
            except Gone:
                return True
        building, firsts = self._repair, list_segments(self._log)
        if building.first not in firsts or building.first == firsts[-1]:
            self._drop_repair()
            return True
        last = firsts[firsts.index(building.first) + 1] - 1
        batch = await self._reader.read(0, building.next - 1, BATCH)
        for item in batch:
            if item.position.offset > last:
                break
            if isinstance(item, Damaged):
                building.skip(item.position.offset)
            else:
                building.add(seen_in(item))
        if not batch or building.next > last or batch[-1].position.offset > last:
            building.write()
            self._waiting.append((building, True))
            self._repair, self._looked = None, 0.0
        return True

    def _drop_repair(self) -> None:
        if self._repair is not None:
            self._repair.discard()
            self._repair = None

    def _remember(self, live: int) -> None:
        """live: events that were just read. While there is much to catch up on, many are written at once."""
        now = time.monotonic()
        is_time = not live or self._news.events >= MOST or (live < BATCH and now - self._remembered >= REMEMBER)
        if is_time and self._news.upto > self._memory.upto:
            self._memory.add(self._news)
            self._news, self._remembered = self._memory.news(), now
        if now - self._tidied >= TIDY:
            firsts = list_segments(self._log)
            self._memory.tidy(self._clock(), firsts[0] if firsts else START)
            self._tidied = now

    async def _tell_standing(self) -> None:
        repairing = len(self._to_repair) + (self._repair is not None)
        end = await self._reader.end(0)
        settled = self._next > end and self._memory.upto >= end and not (repairing or self._waiting or self._suspects)
        self.standing = Standing(self._next - 1, self._at, end, repairing, settled)

    def _tell(self, trouble: str) -> None:
        old = self.standing
        self.standing = Standing(old.upto, old.at, old.end, old.repairing, False, trouble)

    # What became of the log's files

    def _look(self) -> None:
        self._looked = time.monotonic()
        deleted = None if self._workspace is None else deleted_since(self._workspace, self._memory.regulations)
        firsts = list_segments(self._log)
        self._drop_gone(set(firsts))
        if self._live is not None and not self._live.is_current():
            self._live.discard()
            self._live = None
        if self._repair is not None and not self._repair.is_current():
            self._drop_repair()
        waiting, self._waiting = self._waiting, []
        for building, is_repair in waiting:
            self._finish(building, is_repair)
        for first in firsts:
            if self._segment is None or first > self._segment or self._is_made(first) or first == firsts[-1]:
                continue
            if not self._is_closed(first):
                self._to_repair.add(first)
        if firsts and self._segment == firsts[-1] and self._live is None and not self._is_closed(firsts[-1]):
            self._enter(firsts[-1], firsts)  # what was read of it does not hold any more
        if deleted is not None and not (self._to_repair or self._repair or self._waiting):
            forget(self._memory, deleted, lambda: list(self._files.pieces(self.tails())))

    def _is_made(self, first: Offset) -> bool:
        """It is being made at the moment."""
        made = (self._live, self._repair, *(one for one, _ in self._waiting))
        return any(one is not None and one.first == first for one in made)

    def _drop_gone(self, here: set[Offset]) -> None:
        closed, opened = stretches(self._folder)
        for first in closed - here:
            remove(closed_path(self._folder, first))
        for first in opened - here:
            if not self._is_made(first):
                remove(open_path(self._folder, first))
        self._to_repair &= here
        self._identities = {first: one for first, one in self._identities.items() if first in here}

    def _finish(self, building: Building, is_repair: bool) -> None:
        try:
            if not building.is_current():
                raise Gone  # noqa: TRY301 - as `finish` does
            if not building.finish():
                self._waiting.append((building, is_repair))
                return
        except Gone:
            building.discard()
            return
        if is_repair:
            pieces = list(self._files.pieces(self.tails()))
            correct(self._memory, pieces, building.first, building.next - 1, building.calls)

    def _is_closed(self, first: Offset) -> bool:
        """Whether there is a file of it that holds. One that does not is removed."""
        path = closed_path(self._folder, first)
        if not path.exists():
            self._identities.pop(first, None)
            return False
        if first in self._suspects:
            self._suspects.discard(first)
            if not is_whole(path):
                return self._let_go(first, "it is damaged")
        if first not in self._identities:
            try:
                stretch = Stretch(path, first, closed=True)
            except (Unknown, apsw.CantOpenError, *UNREADABLE) as error:
                return self._let_go(first, str(error))
            self._identities[first] = stretch.identity
            stretch.close()
        now = identity_of(path_of(self._log, first), settled=True)
        return now == self._identities[first] or self._let_go(first, "its segment of the log was written anew")

    def _let_go(self, first: Offset, why: str) -> bool:
        log.info("index.made_again", stretch=first, why=why)
        self._tell(self.standing.trouble)  # it is not settled any more
        remove(closed_path(self._folder, first))
        self._identities.pop(first, None)
        return False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """As long as this lasts, no other process makes an index there. OSError if one does."""
    make_folder(folder)
    descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError("another process makes the index of this data directory") from None
        yield
    finally:
        os.close(descriptor)


def _segment_of(firsts: Sequence[Offset], offset: Offset) -> Offset:
    return firsts[max(0, bisect_right(firsts, offset) - 1)]


async def _either(*waits: Awaitable[object]) -> None:
    """Until one of them is done; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
