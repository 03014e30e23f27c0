"""
Lines that do not move are parked: their places go to disk, in order, and the watermark goes on without them. An event
is parked if any of its keys is; so a key is parked as long as a parked event stands behind it.

A parked line is looked after from its head: the head is loaded when it is first in all its lines, nothing of these
lines is left in memory before it, and its time has come. Everything that keeps it from being loaded now looks at the
line again when it goes away, so no line is forgotten; `parked_due` in the store remembers those that wait for a time.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from milonga.delivery.entry import Entry, Stage
from milonga.delivery.line_up import LineUp
from milonga.delivery.recorder import Record, Recorder
from milonga.delivery.store import NEVER, DeliveryReader, Parked
from milonga.destinations.contract import Key
from milonga.eventlog.api import Position


class ParkedLines:
    """
    The parked lines of one destination.

    limit       events of parked lines in memory at once
    load        called with an entry that stands in its lanes now and wants its bytes
    is_settled  whether a parked event has ended already: a crash came between its outcome and its leaving
    """

    def __init__(
        self,
        destination: int,
        line_up: LineUp,
        reader: DeliveryReader,
        recorder: Recorder,
        *,
        limit: int,
        clock: Callable[[], float],
        load: Callable[[Entry, Parked], None],
        is_settled: Callable[[Parked], bool],
    ) -> None:
        self._destination, self._line_up, self._reader, self._recorder = destination, line_up, reader, recorder
        self._limit, self._clock, self._load, self._is_settled = limit, clock, load, is_settled
        # By hash, to be small: two keys that collide share a count, which at worst parks an event without need.
        self._counts: Counter[int] = Counter()
        for key, n in reader.parked_sizes(destination).items():
            self._counts[hash(key)] += n
        self._loaded = 0
        self.paused = False

    def __bool__(self) -> bool:
        return bool(self._counts)

    def holds(self, keys: Iterable[Key]) -> bool:
        """Whether an event with these keys must be parked too."""
        return bool(self._counts) and any(hash(key) in self._counts for key in keys)

    def park(self, parked: Parked, then: Callable[[], None]) -> None:
        """Put an event at the end of its lines. `then` is called once its place is durable."""
        for key in parked.keys:
            self._counts[hash(key)] += 1

        def done() -> None:
            then()
            self.look_at(parked.keys)

        self._recorder.record(Record(before=lambda store: store.park(self._destination, parked, NEVER), then=done))

    def unpark(self, position: Position, keys: tuple[Key, ...], then: Callable[[], None] | None = None) -> None:
        """It has ended; its outcome is durable. Its lines go on."""

        def done() -> None:
            for key in keys:
                self._counts[hash(key)] -= 1
                if self._counts[hash(key)] <= 0:
                    del self._counts[hash(key)]
                    self._end_line(key)
            if then is not None:
                then()
            self.look_at(keys)

        self._recorder.record(Record(before=lambda store: store.unpark(self._destination, position, keys), then=done))

    def left(self, entry: Entry) -> None:
        """A loaded event is no longer in memory."""
        self._loaded -= entry.loaded

    def look_at(self, keys: Iterable[Key]) -> None:
        """Something before these lines went away."""
        for key in keys:
            if hash(key) in self._counts and self._line_up.lanes.length(key) == 0:
                self._look(key)

    def look_after_due(self) -> None:
        """Look at the lines whose time has come, as far as there is room."""
        if self._counts and self._loaded < self._limit and not self.paused:
            now = int(self._clock() * 1000)
            for key in self._reader.due_lines(self._destination, now, self._limit - self._loaded):
                self._look(key, due=True)

    def next_due(self) -> float | None:
        """Unix seconds; None if no line waits for a time."""
        if not self._counts or self._loaded >= self._limit or self.paused:
            return None
        due_at = self._reader.next_due(self._destination)
        return None if due_at is None else due_at / 1000

    def _look(self, key: Key, *, due: bool = False) -> None:
        position = self._reader.head(self._destination, key)
        parked = None if position is None else self._reader.parked(self._destination, position)
        if parked is None or not self._is_head(parked):
            # A place that is not durable yet, or an event that stands before it elsewhere, looks here again.
            if due and hash(key) in self._counts:
                self._look_again(key, NEVER)
            elif due:
                self._end_line(key)
            return
        if self._is_settled(parked):
            self.unpark(parked.position, parked.keys)
            return
        progress = self._reader.progress(self._destination, parked.position)
        now = int(self._clock() * 1000)
        if progress is not None and progress.next_at > now:
            self._look_again(key, progress.next_at)
        elif self._loaded >= self._limit or self.paused:
            self._look_again(key, now)
        else:
            self._take(parked)

    def _is_head(self, parked: Parked) -> bool:
        return all(
            self._line_up.lanes.length(key) == 0 and self._reader.head(self._destination, key) == parked.position
            for key in parked.keys
        )

    def _take(self, parked: Parked) -> None:
        entry = Entry(parked.position, parked.keys, parked.received_at, self._clock(), parked=True)
        entry.progress = self._reader.progress(self._destination, parked.position) or entry.progress
        entry.failed = bool(entry.progress.attempts)
        entry.resent = parked.resent
        entry.stage, entry.loaded = Stage.loading, True
        self._loaded += 1
        self._line_up.add(entry)
        for key in parked.keys:
            self._look_again(key, NEVER)
        self._load(entry, parked)

    def _look_again(self, key: Key, due_at: int) -> None:
        self._recorder.record(Record(before=lambda store: store.look_again(self._destination, key, due_at)))

    def _end_line(self, key: Key) -> None:
        self._recorder.record(Record(before=lambda store: store.end_line(self._destination, key)))
