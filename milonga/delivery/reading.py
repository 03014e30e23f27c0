"""How events come from the log to a runner: in order, at the destination's own pace, from where it stood."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog

from milonga.delivery.recorder import Record
from milonga.delivery.resuming import Known, known_after
from milonga.delivery.rows import Progress
from milonga.delivery.store import DeliveryStore
from milonga.delivery.switching import Fate, fate, first_offset, gap_end
from milonga.delivery.window import Window
from milonga.delivery.work import Work
from milonga.eventlog.api import Damaged, Offset, Position, Stored

log = structlog.get_logger("milonga.delivery")

AT_ONCE = 100  #: events of one read: between two reads the loop serves everybody else
COUNT_AGAIN = 1.0  #: seconds between two looks at how much lies behind a full window
LOOK_AGAIN = 0.25  #: seconds after which a full window is looked at again


class Taker(Protocol):
    """Who gets the events (milonga.delivery.admission)."""

    @property
    def has_room(self) -> bool: ...
    def admit(self, item: Stored | Damaged, fate: Fate, progress: Progress | None) -> None: ...
    def relieve(self, position: Position) -> None: ...


class Reading:
    """
    The windows of one destination, one per partition.

    wake    called when something was taken
    unread  events of the log, of all sources, that wait behind full windows; a second old, at most
    """

    def __init__(self, work: Work, taker: Taker, wake: Callable[[], None]) -> None:
        self._work, self._taker, self._wake = work, taker, wake
        self._windows: dict[int, Window] = {}
        self._recorded: dict[int, Offset] = {}
        self._ends: dict[int, Offset] = {}  # of the log, where a window was too full to read on to it
        self._count_at: dict[int, float] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until the work stops. Partitions are read side by side."""
        async with asyncio.TaskGroup() as group:
            for partition in self._work.tools.log.assignments(f"destination-{self._work.config.id}"):
                group.create_task(self._read(partition))

    def look_again(self) -> None:
        """The destination's configuration changed, or the work stops."""
        self._changed.set()

    def leave(self, position: Position) -> None:
        """This event no longer holds the watermark."""
        window = self._windows.get(position.partition)
        if window is not None:
            window.leave(position.offset)
            self._changed.set()

    @property
    def unread(self) -> int:
        return sum(max(0, end - self._windows[partition].read_to) for partition, end in self._ends.items())

    def record_positions(self) -> None:
        number = self._work.config.id
        for partition, window in self._windows.items():
            watermark = window.watermark
            if watermark != self._recorded.get(partition):
                self._recorded[partition] = watermark
                set_position = partial(_set_position, number, partition, watermark)
                self._work.tools.recorder.record(Record(before=set_position))

    async def _read(self, partition: int) -> None:
        work, source = self._work, self._work.tools.log
        start = work.tools.reader.position(work.config.id, partition)
        if start is None:
            start = first_offset(work.config.changes, partition)
        window = self._windows[partition] = Window(start)
        known = known_after(work, partition, start)
        while not work.stopping:
            self._changed.clear()
            taken = work.spans(partition)
            window.skip_to(gap_end(taken, window.read_to))
            if not taken or (taken[-1][1] is not None and window.read_to >= taken[-1][1]):
                self._ends.pop(partition, None)
                await self._wait_for_change()  # switched off, and nothing before that is left
            elif len(window) >= work.limits.window or not self._taker.has_room:
                self._relieve(partition, window)
                await self._look_ahead(partition)
                await self._wait_for_change(LOOK_AGAIN)
            elif items := await source.read(partition, window.read_to, min(AT_ONCE, work.limits.window - len(window))):
                if items[-1].position.offset > known.upto:
                    known = known.further(work, partition, items[0].position.offset - 1)
                self._take(window, items, known)
                self._wake()
                await asyncio.sleep(0)
            else:
                known = Known()
                self._ends.pop(partition, None)
                await source.wait(partition, window.read_to, 1.0)

    def _take(self, window: Window, items: list[Stored | Damaged], known: Known) -> None:
        config = self._work.config
        taken = self._work.spans(items[0].position.partition)
        first = items[0].position.offset
        if first > window.read_to + 1:
            gone = f"offsets {window.read_to + 1} to {first - 1}"
            log.error("delivery.log_trimmed", destination=config.name, gone=gone)
        for item in items:
            offset = item.position.offset
            becomes = fate(taken, offset)
            mine = isinstance(item, Damaged) or item.event.stamp.source == config.source
            if not mine or becomes is Fate.never or offset in known.settled:
                window.skip_to(offset)
                continue
            window.enter(offset)
            self._taker.admit(item, becomes, known.progress.get(offset))

    def _relieve(self, partition: int, window: Window) -> None:
        oldest = window.oldest_open()
        if oldest is not None:
            self._taker.relieve(Position(partition, oldest))

    async def _look_ahead(self, partition: int) -> None:
        now = self._work.tools.clock()
        if partition not in self._ends or now >= self._count_at[partition]:
            self._count_at[partition] = now + COUNT_AGAIN
            self._ends[partition] = await self._work.tools.log.end(partition)

    async def _wait_for_change(self, seconds: float | None = None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass


def _set_position(destination: int, partition: int, watermark: Offset, store: DeliveryStore) -> None:
    store.set_position(destination, partition, watermark)
