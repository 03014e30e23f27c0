"""How events come from the log to a runner: in order, at the destination's own pace, from where it stood."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog

from milonga.delivery.limits import Limits
from milonga.delivery.recorder import Record, Recorder, StoreOp
from milonga.delivery.store import DeliveryReader, Progress
from milonga.delivery.switching import Fate, fate, first_offset, gap_end, spans
from milonga.delivery.window import Window
from milonga.eventlog.api import Damaged, LogReader, Offset, Position, Stored
from milonga.outcomes.files import OutcomeReader
from milonga.workspace.model import DestinationConfig

log = structlog.get_logger("milonga.delivery")

AT_ONCE = 100  #: events of one read: between two reads the loop serves everybody else
LOOK_AGAIN = 0.25  #: seconds after which a full window is looked at again


class Taker(Protocol):
    """Who gets the events (milonga.delivery.runner)."""

    @property
    def has_room(self) -> bool: ...
    def admit(self, item: Stored | Damaged, fate: Fate, progress: Progress | None) -> None: ...
    def relieve(self, position: Position) -> None: ...
    def pump(self) -> None: ...


class Reading:
    """The windows of one destination, one per partition."""

    def __init__(
        self,
        config: DestinationConfig,
        log: LogReader,
        reader: DeliveryReader,
        recorder: Recorder,
        outcomes: OutcomeReader,
        limits: Limits,
        taker: Taker,
    ) -> None:
        self._config, self._log, self._reader, self._recorder = config, log, reader, recorder
        self._outcomes, self._limits, self._taker = outcomes, limits, taker
        self._windows: dict[int, Window] = {}
        self._recorded: dict[int, Offset] = {}
        self._stopping = False
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`. Partitions are read side by side."""
        partitions = self._log.assignments(f"destination-{self._config.id}")
        await asyncio.gather(*(self._read(partition) for partition in partitions))

    def stop(self) -> None:
        self._stopping = True
        self._changed.set()

    def update(self, config: DestinationConfig) -> None:
        self._config = config
        self._changed.set()

    def leave(self, position: Position) -> None:
        """This event no longer holds the watermark."""
        window = self._windows.get(position.partition)
        if window is not None:
            window.leave(position.offset)
            self._changed.set()

    def record_positions(self) -> None:
        for partition, window in self._windows.items():
            watermark = window.watermark
            if watermark != self._recorded.get(partition):
                self._recorded[partition] = watermark
                self._recorder.record(Record(before=_position_setter(self._config.id, partition, watermark)))

    async def _read(self, partition: int) -> None:
        number = self._config.id
        start = self._reader.position(number, partition)
        if start is None:
            start = first_offset(self._config.changes, partition)
        window = self._windows[partition] = Window(start)
        known = self._outcomes.finished_after(number, partition, start)
        known |= self._reader.parked_after(number, partition, start)
        progress = self._reader.progress_after(number, partition, start)
        while not self._stopping:
            self._changed.clear()
            taken = spans(self._config.changes, partition)
            window.skip_to(gap_end(taken, window.read_to))
            if not taken or (taken[-1][1] is not None and window.read_to >= taken[-1][1]):
                await self._wait_for_change()  # switched off, and nothing before that is left
            elif len(window) >= self._limits.window or not self._taker.has_room:
                self._relieve(partition, window)
                await self._wait_for_change(LOOK_AGAIN)
            elif items := await self._log.read(partition, window.read_to, AT_ONCE):
                self._take(window, items, taken, known, progress)
                self._taker.pump()
                await asyncio.sleep(0)
            else:
                known, progress = set(), {}
                await self._log.wait(partition, window.read_to, 1.0)

    def _take(
        self,
        window: Window,
        items: list[Stored | Damaged],
        taken: list[tuple[Offset, Offset | None]],
        known: set[Offset],
        progress: Mapping[Offset, Progress],
    ) -> None:
        first = items[0].position.offset
        if first > window.read_to + 1:
            log.error("delivery.log_trimmed", destination=self._config.name, lost=first - window.read_to - 1)
        for item in items:
            offset = item.position.offset
            becomes = fate(taken, offset)
            mine = isinstance(item, Damaged) or item.event.stamp.source == self._config.source
            if not mine or becomes is Fate.never or offset in known:
                window.skip_to(offset)
                continue
            window.enter(offset)
            self._taker.admit(item, becomes, progress.get(offset))

    def _relieve(self, partition: int, window: Window) -> None:
        oldest = window.oldest_open()
        if oldest is not None:
            self._taker.relieve(Position(partition, oldest))

    async def _wait_for_change(self, seconds: float | None = None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass


def _position_setter(destination: int, partition: int, watermark: Offset) -> StoreOp:
    return lambda store: store.set_position(destination, partition, watermark)
