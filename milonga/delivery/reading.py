"""How events come from the log to a runner: in order, at the destination's own pace, from where it stood."""

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol

import structlog

from milonga.delivery.detours import Blocked, Detour, account_of
from milonga.delivery.recorder import Record
from milonga.delivery.resuming import Known, known_after
from milonga.delivery.rows import DetourRow, Progress
from milonga.delivery.store import DeliveryStore
from milonga.delivery.switching import Fate, fate, first_offset, gap_end
from milonga.delivery.window import Window
from milonga.delivery.work import Work
from milonga.eventlog.api import START, Damaged, Offset, Page, Passing, Position, Stored
from milonga.spec.read import read_stamped

log = structlog.get_logger("milonga.delivery")

AT_ONCE = 100  #: events of one read: between two reads the loop serves everybody else
FOR_A_DETOUR = 20  #: events of one read of a detour
A_FEW = 5  #: of them are let in in one turn of the loop: whoever comes meanwhile waits as long as these take
PASSED_AT_ONCE = 400  #: events that are looked at to pass a flood by
COUNT_AGAIN = 1.0  #: seconds between two looks at how much lies behind a full window
LOOK_AGAIN = 0.25  #: seconds after which a full window is looked at again
REST = 0.05  #: seconds that a detour rests between two reads while the main reader is behind: others go first
PARKING = 0.0005  #: seconds that a detour rests for each event that had to be parked: others must not feel it


class Taker(Protocol):
    """
    Who gets the events (milonga.delivery.admission).

    parked  how many of them are
    """

    @property
    def has_room(self) -> bool: ...
    @property
    def parked(self) -> int: ...
    def has_room_for(self, detour: Detour) -> bool: ...
    def admit(self, item: Stored | Damaged, fate: Fate, progress: Progress | None) -> None: ...
    def relieve(self, position: Position) -> None: ...


class Reading:
    """
    The windows of one destination, one per partition, and those of detours.

    go      called when so many events were read: they are sent at once if they can be
    wake    the same for what a detour brings, which may wait its turn
    unread  events of the log, of all sources, that wait behind full windows; a second old, at most
    """

    def __init__(self, work: Work, taker: Taker, go: Callable[[int], None], wake: Callable[[], None]) -> None:
        self._work, self._taker, self._go, self._wake = work, taker, go, wake
        self._windows: dict[int, Window] = {}
        self._known: dict[int, Known] = {}
        self._recorded: dict[int, Offset] = {}
        self._recorded_detours: dict[Detour, DetourRow] = {}
        self._ends: dict[int, Offset] = {}  # of the log, where a window was too full to read on to it
        self._count_at: dict[int, float] = {}
        self._changed: dict[int, asyncio.Event] = {}
        self._behind: dict[int, bool] = {}  # whether there is more to be read at once
        self._wary: dict[int, bool] = {}  # whether each event is looked at, for one of them could not be passed

    async def run(self) -> None:
        """Until the work stops. Partitions, and detours, are read side by side."""
        async with asyncio.TaskGroup() as group:
            for partition in self._work.tools.log.assignments(f"destination-{self._work.config.id}"):
                self._changed[partition] = asyncio.Event()
                group.create_task(self._read(partition, group))

    def look_again(self) -> None:
        """The destination's configuration changed, or the work stops."""
        for changed in (*self._changed.values(), *(detour.changed for detour in self._work.detours)):
            changed.set()

    def leave(self, position: Position) -> None:
        """This event no longer holds the watermark."""
        window = self._windows.get(position.partition)
        if window is None:
            return
        window.leave(position.offset)
        self._changed[position.partition].set()
        for detour in self._work.detours.of_partition(position.partition):
            detour.window.leave(position.offset)
            detour.changed.set()

    @property
    def unread(self) -> int:
        behind = sum(max(0, end - self._windows[partition].read_to) for partition, end in self._ends.items())
        return behind + sum(detour.unread for detour in self._work.detours)

    @property
    def is_behind(self) -> bool:
        """Whether there is more to be read at once, or would be if there were room."""
        return bool(self._ends) or any(self._behind.values()) or any(detour.unread for detour in self._work.detours)

    def watermark(self, partition: int) -> Offset:
        """Everything up to here has ended, is parked, or waits in a detour; START before it was looked at."""
        return self._windows[partition].watermark if partition in self._windows else START

    def read_to(self, partition: int) -> Offset:
        """The newest offset that was read; START before that."""
        return self._windows[partition].read_to if partition in self._windows else START

    def record_positions(self) -> None:
        """Detours first: what a position has passed may be waiting in one."""
        for detour in self._work.detours:
            self._record_detour(detour)
        number = self._work.config.id
        for partition, window in self._windows.items():
            watermark = window.watermark
            if watermark != self._recorded.get(partition):
                self._recorded[partition] = watermark
                set_position = partial(_set_position, number, partition, watermark)
                self._work.tools.recorder.record(Record(before=set_position))

    # The usual way

    async def _read(self, partition: int, group: asyncio.TaskGroup) -> None:
        work, source, changed = self._work, self._work.tools.log, self._changed[partition]
        start = work.tools.reader.position(work.config.id, partition)
        if start is None:
            start = first_offset(work.config.changes, partition)
        window = self._windows[partition] = Window(start)
        rows = work.tools.reader.detours(work.config.id, partition)
        for row in rows:
            work.detours.add(Detour(partition, row))
        lowest = min([start, *(row.after for row in rows)])
        known = self._known[partition] = known_after(work, partition, lowest)
        while not work.stopping:
            changed.clear()
            self._set_out(group)
            taken = work.spans(partition)
            window.skip_to(gap_end(taken, window.read_to))
            if not taken or (taken[-1][1] is not None and window.read_to >= taken[-1][1]):
                self._ends.pop(partition, None)
                await _wait_for(changed)  # switched off, and nothing before that is left
            elif len(window) >= work.limits.window or not self._taker.has_room:
                self._relieve(partition, window)
                await self._look_ahead(partition)
                await _wait_for(changed, LOOK_AGAIN)
            elif page := await self._next(partition, window):
                if page.upto > known.upto:
                    known = self._known[partition] = known.further(work, partition, window.read_to)
                blocked = self._wary[partition] = self._take(partition, window, page, known)
                self._go(len(page.items))
                if blocked:
                    await self._look_ahead(partition)
                    await _wait_for(changed, LOOK_AGAIN)
                else:
                    await asyncio.sleep(0)
            else:
                self._behind[partition] = False
                known = self._known[partition] = Known()
                self._ends.pop(partition, None)
                await source.wait(partition, window.read_to, 1.0)

    async def _next(self, partition: int, window: Window) -> Page | None:
        """What comes next; None at the log's end. A flood on its detour is passed by at nearly no cost."""
        work, after = self._work, window.read_to
        most = min(AT_ONCE, work.limits.window - len(window))
        accounts = work.detours.passed_by(partition, after)
        if accounts and not self._wary.get(partition):
            # what a detour has counted already, and what it has not, are looked at apart
            counted = [one.counted - after for one in work.detours.of_partition(partition) if one.counted > after]
            limit = min([PASSED_AT_ONCE, *counted])
            passing = Passing(work.config.source, accounts, work.kind.crossing)
            page = await work.tools.log.skim(partition, after, limit, most, passing)
            if page is not None:
                self._behind[partition] = page.upto >= after + limit or len(page.items) >= most
                return page
        items = await work.tools.log.read(partition, after, most)
        self._behind[partition] = len(items) >= AT_ONCE
        if not items:
            return None
        self._tell_trimmed(window, items)
        window.skip_to(items[0].position.offset - 1)
        return Page(items, items[-1].position.offset)

    def _take(self, partition: int, window: Window, page: Page, known: Known) -> bool:
        """True if it had to stop in front of an event."""
        config, detours = self._work.config, self._work.detours
        taken = self._work.spans(partition)
        if not detours.bring_all(partition, page.passed, page.upto):
            return True  # one of them has just caught up
        for item in page.items:
            offset = item.position.offset
            becomes = fate(taken, offset)
            mine = isinstance(item, Damaged) or item.event.stamp.source == config.source
            if not mine or becomes is Fate.never:
                window.skip_to(offset)
                continue
            if detours and isinstance(item, Stored) and not item.event.stamp.is_erased:
                try:
                    detour = detours.way_of(partition, account_of(item.event.stamp), offset, self._others(item))
                except Blocked:
                    return True
                if detour is not None:
                    detour.hand_over(offset)
                    window.skip_to(offset)
                    continue
            if offset in known.settled:
                window.skip_to(offset)
                continue
            window.enter(offset)
            self._taker.admit(item, becomes, known.progress.get(offset))
        detours.hand_over(partition, page.passed, page.upto)
        window.skip_to(page.upto)
        return False

    def _others(self, item: Stored) -> Collection[str]:
        """The accounts of its keys, if they may be other ones than its own."""
        kind, settings = self._work.kind, self._work.config.settings
        if item.event.stamp.type not in kind.crossing:
            return ()
        try:
            return [key[0] for key in kind.keys(read_stamped(item.event), settings)]
        except Exception:  # whoever admits it tells
            return ()

    def _tell_trimmed(self, window: Window, items: list[Stored | Damaged]) -> None:
        first = items[0].position.offset
        if first > window.read_to + 1:
            gone = f"offsets {window.read_to + 1} to {first - 1}"
            log.error("delivery.log_trimmed", destination=self._work.config.name, gone=gone)

    def _relieve(self, partition: int, window: Window) -> None:
        oldest = window.oldest_open()
        if oldest is not None:
            self._taker.relieve(Position(partition, oldest))

    async def _look_ahead(self, partition: int) -> None:
        now = self._work.tools.clock()
        if partition not in self._ends or now >= self._count_at[partition]:
            self._count_at[partition] = now + COUNT_AGAIN
            self._ends[partition] = await self._work.tools.log.end(partition)

    def clock_set(self) -> None:
        """Ends of the log are asked for anew."""
        self._count_at = dict.fromkeys(self._count_at, 0.0)

    # Detours

    def _set_out(self, group: asyncio.TaskGroup) -> None:
        """Follow those that have just begun, or that an earlier process left."""
        begun = self._work.detours.begun
        while begun:
            detour = begun.pop()
            log.info("delivery.detour", destination=self._work.config.name, account=detour.leader)
            self._record_detour(detour)
            group.create_task(self._follow(detour, self._known[detour.partition]))

    async def _follow(self, detour: Detour, known: Known) -> None:
        """Bring the events of a detour, until it has caught up and everything it brought has left its window."""
        work, main, window = self._work, self._windows[detour.partition], detour.window
        room = max(1, work.limits.account // 2)
        while not work.stopping:
            detour.changed.clear()
            upto = main.read_to if detour.upto is None else detour.upto
            if window.read_to >= upto:
                if detour.upto is None:
                    detour.upto, detour.unread = upto, 0
                    self._record_detour(detour)
                    self._changed[detour.partition].set()
                if not len(window):
                    return self._end(detour)
                await _wait_for(detour.changed, LOOK_AGAIN)
            elif len(window) >= room or not self._taker.has_room_for(detour):
                self._relieve(detour.partition, window)
                await _wait_for(detour.changed, LOOK_AGAIN)
            else:
                items = await work.tools.log.read(
                    detour.partition, window.read_to, min(FOR_A_DETOUR, room - len(window))
                )
                if items and items[-1].position.offset > known.upto:
                    known = known.further(work, detour.partition, items[0].position.offset - 1)
                parked = self._taker.parked
                blocked = await self._bring_by_and_by(detour, items, upto, known)
                if blocked:
                    await _wait_for(detour.changed, LOOK_AGAIN)
                    continue
                rest = REST if self._behind.get(detour.partition) else 0.0
                await asyncio.sleep(max(rest, (self._taker.parked - parked) * PARKING))
        return None

    async def _bring_by_and_by(self, detour: Detour, items: list[Stored | Damaged], upto: Offset, known: Known) -> bool:
        """True if it had to stop in front of one of them."""
        if not items:  # they are gone from the log
            detour.window.skip_to(upto)
            return False
        self._tell_trimmed(detour.window, items)
        for some in range(0, len(items), A_FEW):
            if some:
                await asyncio.sleep(0)
            if self._work.stopping:
                return False
            blocked = self._bring(detour, items[some : some + A_FEW], upto, known)
            self._wake()
            if blocked:
                return True
        return False

    def _bring(self, detour: Detour, items: list[Stored | Damaged], upto: Offset, known: Known) -> bool:
        """True if it had to stop in front of one of them."""
        config, window = self._work.config, detour.window
        taken = self._work.spans(detour.partition)
        for item in items:
            offset = item.position.offset
            if offset > upto:
                return False
            if isinstance(item, Stored) and item.event.stamp.source != config.source:
                window.skip_to(offset)
                continue
            if isinstance(item, Damaged) or item.event.stamp.is_erased:  # nobody can say any more whose it was
                if offset in known.settled or self._is_finished(item.position):
                    window.skip_to(offset)
                    continue
                if self._is_ending(item.position, window):
                    return True
            elif not detour.covers(account_of(item.event.stamp), offset):
                window.skip_to(offset)
                continue
            detour.unread = max(0, detour.unread - 1)
            becomes = fate(taken, offset)
            if becomes is Fate.never or offset in known.settled:
                window.skip_to(offset)
                continue
            if isinstance(item, Stored):
                detour.read_at = item.event.stamp.received_at
            window.enter(offset)
            self._taker.admit(item, becomes, known.progress.get(offset))
        return False

    def _is_ending(self, position: Position, window: Window) -> bool:
        """Whether another reader has brought it, and what becomes of it is just being recorded."""
        partition, offset = position
        others = [detour.window for detour in self._work.detours.of_partition(partition)]
        return any(other is not window and other.holds(offset) for other in (self._windows[partition], *others))

    def _is_finished(self, position: Position) -> bool:
        """Whether this event was brought already, this way or another."""
        work = self._work
        if position in work.live or work.tools.reader.parked(work.config.id, position) is not None:
            return True
        return any(one.destination == work.config.id for one in work.tools.outcomes.of(position))

    def _end(self, detour: Detour) -> None:
        self._work.detours.end(detour)
        self._recorded_detours.pop(detour, None)
        self._changed[detour.partition].set()
        number, partition, leader = self._work.config.id, detour.partition, detour.leader
        self._work.tools.recorder.record(Record(before=lambda store: store.drop_detour(number, partition, leader)))

    def _record_detour(self, detour: Detour) -> None:
        row = detour.row(self._windows[detour.partition].read_to)
        if row != self._recorded_detours.get(detour):
            self._recorded_detours[detour] = row
            number, partition = self._work.config.id, detour.partition
            self._work.tools.recorder.record(Record(before=lambda store: store.set_detour(number, partition, row)))


async def _wait_for(changed: asyncio.Event, seconds: float | None = None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        pass


def _set_position(destination: int, partition: int, watermark: Offset, store: DeliveryStore) -> None:
    store.set_position(destination, partition, watermark)
