"""Reading the log from any process, beside its writer or without one."""

import asyncio
from collections import OrderedDict
from pathlib import Path

import apsw

from milonga.eventlog.api import START, Damaged, Offset, Page, Passing, Stored
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.bell import Bell
from milonga.eventlog.reading import all_damaged, read_rows
from milonga.eventlog.segment import list_segments, lost_from, newest, open_sealed, open_to_read, path_of
from milonga.eventlog.skimming import skim_rows

POLL = 0.25  #: seconds after which a waiting reader looks for itself
READ_BYTES = 8 * 1024 * 1024  #: bodies returned by one read, about
OPEN_FILES = 8


class Gone(Exception):
    """The segment was dropped while we were about to open it: look at the list again."""


class SqliteLogReader:
    """
    The reading half of an EventLog. Its calls are a few small reads of files that are mostly in memory, about a
    millisecond for 500 events, and are made on the caller's thread: one thread, one event loop.
    """

    def __init__(self, folder: Path, bell: str | None = None) -> None:
        """
        folder  the log's, such as `<data>/log`; need not exist yet
        bell    unique name under which the writer wakes this reader; without one it looks every 250 ms
        """
        self._folder = folder
        self._bell_name = bell
        self._bell: Bell | None = None
        self._firsts: list[Offset] = []
        self._files: OrderedDict[tuple[Offset, bool], apsw.Connection] = OrderedDict()
        self._inodes: dict[tuple[Offset, bool], int] = {}  # of those that are open
        self._held: dict[Offset, Offset] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    async def read(
        self, partition: int, after: Offset, limit: int, most_bytes: int = READ_BYTES
    ) -> list[Stored | Damaged]:
        """In order, without gaps but for trimmed ones; an empty list at the end, never a wait."""
        _only_zero(partition)
        for _ in range(100):
            try:
                found, seen_to = self._read(after, limit, most_bytes)
            except Gone:
                self._look()
                continue
            if found or seen_to <= after:
                return found
            after = seen_to
        return []

    def _read(self, after: Offset, limit: int, most_bytes: int) -> tuple[list[Stored | Damaged], Offset]:
        """Of one segment, and up to which offset it was looked through."""
        first, last = self._segment_of(after + 1)
        if first is None:
            return [], after
        after = max(after, first - 1)
        held_to = None if last is None else self._held_to(last)
        try:
            found = read_rows(self._file(first, last is not None), after, held_to, limit, most_bytes)
        except UNREADABLE as error:
            if held_to is None:
                raise
            found = all_damaged(after + 1, held_to, limit, f"{path_of(self._folder, first)}: {error}")
        return found, last if last is not None and not found else after

    async def skim(self, partition: int, after: Offset, limit: int, most: int, passing: Passing) -> Page | None:
        """See LogReader."""
        _only_zero(partition)
        try:
            first, last = self._segment_of(after + 1)
            if first is None or after < first - 1:
                return None
            return skim_rows(self._file(first, last is not None), after, limit, most, passing)
        except (Gone, apsw.SQLError, *UNREADABLE):  # the second for a stamp that is no JSON any more
            return None

    def _held_to(self, last: Offset) -> Offset:
        """The last offset a sealed segment really had: what followed it may have been lost as a whole."""
        if last not in self._held:
            try:
                lost = lost_from(self._file(last + 1, last + 1 != self._firsts[-1]))
            except (Gone, *UNREADABLE):
                return last
            self._held[last] = last if lost is None else lost - 1
        return self._held[last]

    def _segment_of(self, offset: Offset) -> tuple[Offset | None, Offset | None]:
        """First and last offset of the segment that holds it, or else of the oldest; last is None if active."""
        if not self._firsts or offset >= self._firsts[-1]:
            self._follow(offset)
        if not self._firsts:
            return None, None
        # The list is short and the end of it is where readers are.
        place = len(self._firsts) - 1
        while place > 0 and self._firsts[place] > offset:
            place -= 1
        last = self._firsts[place + 1] - 1 if place + 1 < len(self._firsts) else None
        return self._firsts[place], last

    def _follow(self, offset: Offset) -> None:
        """Look at the folder again if the newest segment we know has no such event and is not the newest any more."""
        if self._firsts:
            try:
                end = newest(self._file(self._firsts[-1], sealed=False), self._firsts[-1])
                if end >= offset or not self._is_followed(self._firsts[-1], end):
                    return
            except (Gone, *UNREADABLE):
                pass
        self._look()

    def _look(self) -> None:
        """At the folder; let go of what was dropped, so that its disk space is free."""
        self._firsts = list_segments(self._folder)
        for key in [key for key in self._files if key[0] not in self._firsts]:
            self._files.pop(key).close()

    def _is_followed(self, first: Offset, end: Offset) -> bool:
        """Whether another segment comes behind this one, or came and took it away."""
        return (path_of(self._folder, end + 1).exists() and end >= first) or not path_of(self._folder, first).exists()

    def _file(self, first: Offset, sealed: bool) -> apsw.Connection:
        key, path = (first, sealed), path_of(self._folder, first)
        try:
            inode = path.stat().st_ino
        except FileNotFoundError:
            raise Gone from None
        if (connection := self._files.get(key)) is not None:
            if self._inodes.get(key) == inode:
                self._files.move_to_end(key)
                return connection
            self._files.pop(key).close()  # it was written anew (milonga.eventlog.erasing)
        try:
            connection = open_sealed(path) if sealed else open_to_read(path)
        except apsw.CantOpenError:
            raise Gone from None
        self._files[key] = connection
        self._inodes[key] = inode
        if sealed and (old := self._files.pop((first, False), None)) is not None:
            old.close()
        while len(self._files) > OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        return connection

    def _end(self) -> Offset:
        """Of the files as they are now."""
        for _ in range(100):
            if not self._firsts:
                self._look()
            if not self._firsts:
                return START
            first = self._firsts[-1]
            try:
                end = newest(self._file(first, sealed=False), first)
            except Gone:
                self._look()
                continue
            if not self._is_followed(first, end):
                return end
            self._look()
        return START

    async def end(self, partition: int) -> Offset:
        """Offset of the newest durable event; START if there never was one."""
        _only_zero(partition)
        return self._end()

    async def begin(self, partition: int) -> Offset:
        """Offset of the oldest event still kept; end + 1 if none is."""
        _only_zero(partition)
        firsts = list_segments(self._folder)
        return firsts[0] if firsts else START + 1

    async def wait(self, partition: int, after: Offset, timeout: float) -> bool:
        """Return True as soon as an event beyond `after` can be read, or False after `timeout` seconds."""
        _only_zero(partition)
        loop = asyncio.get_running_loop()
        if self._bell is None and self._bell_name is not None and self._folder.exists():
            self._bell = Bell(self._folder, self._bell_name, self.wake)
        deadline = loop.time() + timeout
        late = False
        while True:
            rung = loop.create_future()
            self._waiting.add(rung)
            try:
                if self._end() > after:
                    if late and self._bell is not None:
                        self._bell.knock()
                    return True
                left = deadline - loop.time()
                if left <= 0:
                    return False
                late = not await _is_done(rung, min(left, POLL))
                if late and not all(path_of(self._folder, first).exists() for first, _sealed in self._files):
                    self._look()
            finally:
                self._waiting.discard(rung)

    def wake(self) -> None:
        """There may be something new: whoever waits looks now."""
        for rung in self._waiting:
            if not rung.done():
                rung.set_result(None)

    def assignments(self, reader: str) -> list[int]:
        """One machine has one partition."""
        return [0]

    async def close(self) -> None:
        """Release files and the bell. Whoever waits is told to look once more."""
        if self._bell is not None:
            self._bell.close()
            self._bell = None
        for connection in self._files.values():
            connection.close()
        self._files.clear()
        self.wake()


async def _is_done(rung: "asyncio.Future[None]", seconds: float) -> bool:
    """Within so many seconds. Not `asyncio.wait`, which would answer a turn of the loop later."""
    try:
        async with asyncio.timeout(seconds):
            await rung
    except TimeoutError:
        return False
    return True


def _only_zero(partition: int) -> None:
    if partition != 0:
        raise ValueError(f"A log on one machine has partition 0 only, not {partition}")
