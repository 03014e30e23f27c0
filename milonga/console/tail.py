"""
The end of the log, followed for all who watch: one reader for each console process, at work only while somebody
watches. It looks at each event once, passes by what it cannot keep up with, and shares what it found.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw
import msgspec
import structlog

from milonga.console.live import Row, Viewer, Wish, row_of, row_of_discard
from milonga.eventlog.api import START, Discard, Offset, Position, Stored
from milonga.eventlog.counters import DISCARDED, MINUTE
from milonga.eventlog.lookup import AFTER_ALL, EventLookup
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.record import UnknownFormat
from milonga.workspace.commands import milliseconds

log = structlog.get_logger("milonga")

BELL: Final = "live"
TICK: Final = 0.25  #: seconds between two looks at the log while events keep coming
LOOK: Final = 1_000  #: events looked at in each; what is further back is passed by
LOOK_BYTES: Final = 4 * 1024 * 1024  #: of bodies, in each
LINGER: Final = 5.0  #: seconds that the log is kept open after the last viewer has left
BEAT: Final = 15.0  #: seconds after which a viewer without news gets a sign of life
DISCARDS_EVERY: Final = 1.0  #: seconds
DISCARDS: Final = 50  #: of which are looked at in each
MOST_VIEWERS: Final = 100

TROUBLE: Final = (OSError, apsw.Error, UnknownFormat)


class Crowded(Exception):
    """As many watch as may."""


class Tail:
    def __init__(
        self,
        folder: Path,
        encode: Callable[[Row], bytes],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = milliseconds,
        most: int = MOST_VIEWERS,
        look: int = LOOK,
    ) -> None:
        """
        folder  of the log; need not exist yet
        encode  a row, for all who see it
        clock   seconds that never go back
        now     unix milliseconds
        most    viewers at a time
        look    events looked at in one tick

        looked_for_discards  whether it knows which are new
        """
        self._folder, self._encode, self._clock, self._now = folder, encode, clock, now
        self._most, self._look_at = most, look
        self._viewers: dict[Wish, list[Viewer]] = {}
        self._reader: SqliteLogReader | None = None
        self._after: Offset | None = None
        self._task: asyncio.Task[None] | None = None
        self._somebody = asyncio.Event()
        self._troubled = ""
        self.looked_for_discards = False
        self._ending = False

    @property
    def viewers(self) -> int:
        return sum(len(some) for some in self._viewers.values())

    @contextmanager
    def _watching(self, wish: Wish, since: Offset) -> Iterator[Viewer]:
        if self.viewers >= self._most:
            raise Crowded
        viewer = Viewer(wish, self._clock(), since)
        self._viewers.setdefault(wish, []).append(viewer)
        self._somebody.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield viewer
        finally:
            others = self._viewers[wish]
            others.remove(viewer)
            if not others:
                del self._viewers[wish]
            if not self._viewers:
                self._somebody.clear()

    async def frames(self, wish: Wish, after: Offset | None = None) -> AsyncGenerator[bytes, None]:
        """
        As server-sent events, until whoever takes them goes: `row` with what `encode` made of it; `missed` with how
        many were not shown, how many of them nobody looked at, and `trouble`; `beat` when there is no news.

        after  shown up to here already, such as before a connection was lost; None: what comes from now on

        Crowded if too many watch.
        """
        with self._watching(wish, after or START) as viewer:
            yield b"retry: 2000\nevent: beat\ndata: {}\n\n"
            try:
                await self._begin(viewer, after)
            except TROUBLE as error:
                viewer.tell(_words(error))
            while not self._ending:
                if await viewer.wait(BEAT):
                    yield self._frame(viewer)
                else:
                    yield b"%bevent: beat\ndata: {}\n\n" % _place(self._position)

    async def rows(self, wish: Wish, after: Offset | None = None) -> AsyncGenerator[Row | None, None]:
        """The same one by one; None as a sign of life."""
        with self._watching(wish, after or START) as viewer:
            with suppress(*TROUBLE):
                await self._begin(viewer, after)
            while not self._ending:
                if not await viewer.wait(BEAT):
                    yield None
                for row in viewer.take().rows:
                    yield row

    def _frame(self, viewer: Viewer) -> bytes:
        taken = viewer.take()
        parts = [self._text(row) for row in taken.rows]
        told = {"shed": taken.shed, "passed": taken.passed, "trouble": taken.trouble}
        parts.append(b"%bevent: missed\ndata: %b\n\n" % (_place(taken.position), msgspec.json.encode(told)))
        return b"".join(parts)

    def _text(self, row: Row) -> bytes:
        if row.text is None:
            try:
                encoded = self._encode(row)
            except Exception:  # a fault of ours: one event that cannot be shown must not end the view of the others
                log.exception("console.row_not_shown", position=row.position)
                row.text = b""
                return row.text
            lines = b"".join(b"data: %b\n" % line for line in encoded.splitlines())
            row.text = b"event: row\n%b\n" % lines
        return row.text

    def end(self) -> None:
        """Whoever watches is sent away: the console is about to end."""
        self._ending = True
        for viewers in self._viewers.values():
            for viewer in viewers:
                viewer.wake()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    # The one that reads

    async def _run(self) -> None:
        """While anybody watches, and a little longer."""
        watching = asyncio.create_task(self._follow_discards(Discards(self._folder, self._now)))
        try:
            while await self._is_wanted():
                try:
                    await self._follow()
                    self._troubled = ""
                except Exception as error:  # of ours, too: nobody shall look at a page that stands still
                    await self._close_reader()
                    self._tell(_words(error))
                    await asyncio.sleep(1.0)
        finally:
            watching.cancel()
            await self._close_reader()

    async def _is_wanted(self) -> bool:
        try:
            async with asyncio.timeout(LINGER):
                await self._somebody.wait()
        except TimeoutError:
            return False
        return True

    async def _opened(self) -> tuple[SqliteLogReader, Offset]:
        """And up to where it has looked: at first, to the end; after trouble, to where it was."""
        if self._reader is None:
            self._reader = SqliteLogReader(self._folder, bell=BELL)
        if self._after is None:
            self._after = await self._reader.end(0)
        return self._reader, self._after

    async def _follow(self) -> None:
        """One look, or the wait for one."""
        reader, after = await self._opened()
        if not await reader.wait(0, after, 1.0):
            return
        _, after = await self._opened()  # somebody may have begun meanwhile
        rows, passed, self._after = await self._look(reader, after, await reader.end(0))
        self._share(rows, passed)
        await asyncio.sleep(TICK)

    async def _look(self, reader: SqliteLogReader, after: Offset, end: Offset) -> tuple[list[Row], int, Offset]:
        """What came since, as far as it is not too much; how many events were passed by; up to where that is."""
        passed = max(0, end - self._look_at - after)
        found = await reader.read(0, after + passed, min(self._look_at, end - after - passed), LOOK_BYTES)
        reached = found[-1].position.offset if found else after + passed
        return [row_of(one) for one in found if isinstance(one, Stored)], passed, reached

    async def _begin(self, viewer: Viewer, after: Offset | None) -> None:
        """Where a viewer is to begin: with what it has not seen."""
        if self.viewers == 1:
            self._after = None  # nobody has missed what came while nobody watched
        reader, reached = await self._opened()
        if after is not None and after < reached:
            rows, passed, _ = await self._look(reader, after, reached)
            self._give(viewer, [row for row in rows if viewer.wish.fits(row)], passed)

    async def _close_reader(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None

    def _share(self, rows: list[Row], passed: int) -> None:
        for wish, viewers in self._viewers.items():
            fitting = [row for row in rows if wish.fits(row)]
            for viewer in viewers:
                self._give(viewer, fitting, passed)

    def _give(self, viewer: Viewer, fitting: list[Row], passed: int) -> None:
        viewer.offer(fitting, passed, self._position, self._clock())

    @property
    def _position(self) -> Position | None:
        return None if self._after is None else Position(0, self._after)

    async def _follow_discards(self, discards: "Discards") -> None:
        while True:
            try:
                found, many = await asyncio.to_thread(discards.look)
                self.looked_for_discards = True
            except Exception as error:
                self._tell(_words(error))
            else:
                self._share_discards([row_of_discard(one) for one in found], many)
            await asyncio.sleep(DISCARDS_EVERY)
            await self._somebody.wait()

    def _share_discards(self, rows: list[Row], many: Counter[int]) -> None:
        """many  source -> how many were discarded in all"""
        now = self._clock()
        for wish, viewers in self._viewers.items():
            fitting = [row for row in rows if wish.fits(row)]
            beyond = 0
            if not wish.is_narrow:
                all_ = many.total() if wish.source is None else many[wish.source]
                beyond = max(0, all_ - len(fitting))
            for viewer in viewers:
                if fitting:
                    viewer.offer(fitting, 0, None, now)
                viewer.missed(beyond)

    def _tell(self, trouble: str) -> None:
        if trouble != self._troubled:
            log.error("console.live_view_unreadable", error=trouble)
        self._troubled = trouble
        for viewers in self._viewers.values():
            for viewer in viewers:
                viewer.tell(trouble)


class Discards:
    """What was discarded since the last look. One thread at a time."""

    def __init__(self, folder: Path, now: Callable[[], int] = milliseconds) -> None:
        """now  unix milliseconds"""
        self._lookup, self._now = EventLookup(folder), now
        self._counted: Counter[tuple[int, int, str]] | None = None
        self._seen: Counter[Discard] = Counter()

    def look(self) -> tuple[list[Discard], Counter[int]]:
        """Oldest first, the newest at most; and how many there were of each source. At first: none."""
        since = self._now() // MINUTE - 1
        counted: Counter[tuple[int, int, str]] = Counter(
            {
                (one.minute, one.source, one.name): one.n
                for one in self._lookup.counts(since, AFTER_ALL)
                if one.name.startswith(DISCARDED)
            }
        )
        before, self._counted = self._counted, counted
        if before is not None and counted <= before:
            return [], Counter()
        found = Counter(self._lookup.discards(DISCARDS, segments=2))
        new, self._seen = found - self._seen, found
        if before is None:
            return [], Counter()
        many: Counter[int] = Counter()
        for key, n in counted.items():
            many[key[1]] += max(0, n - before[key])
        return sorted(new.elements(), key=lambda one: one.at)[-many.total() :], many


def _place(position: Position | None) -> bytes:
    """The line by which a browser says later how far it has come."""
    return b"" if position is None else b"id: %d-%d\n" % position


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
