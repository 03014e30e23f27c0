"""
Lines that do not move are parked: their places go to disk, in order, and the watermark goes on without them. An event
is parked if any of its keys is; so a key is parked as long as a parked event stands behind it.

A parked line is looked after from its head: the head is loaded when it is first in all its lines, nothing of these
lines is left in memory before it, and its time has come. Everything that keeps it from being loaded now looks at the
line again when it goes away, so no line is forgotten; `parked_due` in the store remembers those that wait for a time.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from milonga.delivery.recorder import Record
from milonga.delivery.rows import NEVER, Parked, Progress
from milonga.delivery.store import DeliveryStore
from milonga.delivery.work import Work
from milonga.destinations.contract import Key
from milonga.eventlog.api import Position

AT_ONCE = 16  #: events of one line that are loaded together


class ParkedLines:
    """
    The parked lines of one destination.

    load     called with the head of its lines, and what is known of its tries, when it is its turn
    in_hand  parked events that are in memory, or whose end is being written: whoever takes one out looks at its lines
    loaded   how many events were brought back into memory and are still there
    count    how many events are parked
    """

    def __init__(self, work: Work, load: Callable[[Parked, Progress | None], None]) -> None:
        self._work, self._load = work, load
        self._number, self._reader = work.config.id, work.tools.reader
        self._joining: Counter[int] = Counter()  # those of them whose place is not durable yet
        self.in_hand: set[Position] = set()
        self.loaded = 0
        self.count = self._reader.parked_count(self._number)
        self._crowded = False  # lines wait for room in memory: one that goes on joins their queue
        self._asked = False
        # By hash, to be small: two keys that collide share a count, which at worst parks an event without need.
        self._counts: Counter[int] = Counter()
        for key, n in self._reader.parked_sizes(self._number):
            self._counts[hash(key)] += n

    def __bool__(self) -> bool:
        return bool(self._counts)

    def holds(self, keys: Iterable[Key]) -> bool:
        """Whether an event with these keys must be parked too."""
        return bool(self._counts) and any(hash(key) in self._counts for key in keys)

    def only(self, keys: Iterable[Key]) -> bool:
        """Whether nothing stands in other lines than these."""
        return self._counts.keys() <= {hash(key) for key in keys}

    def join(
        self, parked: Parked, then: Callable[[], None], also: Callable[[DeliveryStore], None] | None = None
    ) -> None:
        """
        Put an event at the end of its lines. `then` is called once its place is durable; `also` is done to the store
        in the same commit.
        """
        self.count += 1
        for key in parked.keys:
            self._counts[hash(key)] += 1
            self._joining[hash(key)] += 1

        def before(store: DeliveryStore) -> None:
            store.park(self._number, parked)
            if also is not None:
                also(store)

        def done() -> None:
            then()
            for key in parked.keys:
                self._joining[hash(key)] -= 1
                if not self._joining[hash(key)]:
                    del self._joining[hash(key)]
            # Whoever stands before it looks at the line upon leaving.
            self.look_at(key for key in parked.keys if self._counts[hash(key)] - self._joining[hash(key)] == 1)

        self._work.tools.recorder.record(Record(before=before, then=done))

    def leave(self, position: Position, keys: tuple[Key, ...], *, tracked: bool) -> None:
        """
        It has ended; its outcome is durable. Its lines go on.

        tracked  it has, or may have, a row of its progress
        """

        def before(store: DeliveryStore) -> None:
            store.unpark(self._number, position, keys)
            if tracked:
                store.drop_progress(self._number, position)

        def done() -> None:
            self.count -= 1
            for key in keys:
                self._counts[hash(key)] -= 1
                if self._counts[hash(key)] <= 0:
                    del self._counts[hash(key)]
            self.put_down(position, keys)

        self._work.tools.recorder.record(Record(before=before, then=done))

    def put_down(self, position: Position, keys: tuple[Key, ...]) -> None:
        """It is no longer in hand: ended, or on disk again."""
        self.in_hand.discard(position)
        self.look_at(keys)
        if self._crowded:
            self.look_at_due()

    def look_at(self, keys: Iterable[Key]) -> None:
        """Something before these lines went away, or they have just begun."""
        for key in keys:
            if hash(key) in self._counts and self._work.line_up.lanes.length(key) == 0:
                if self._crowded:
                    self.look_at_later(key, self._work.now_ms())
                else:
                    self._look(key)

    def look_at_later(self, key: Key, due_at: int) -> None:
        """At `due_at` (unix milliseconds); NEVER while something else is sure to look at this line."""
        self._work.tools.recorder.record(Record(before=lambda store: store.look_again(self._number, key, due_at)))

    def look_at_due(self) -> None:
        """Look at the lines whose time has come, as far as there is room, once all that was asked for is written."""
        if self._counts and not self._asked:
            self._asked = True
            self._work.tools.recorder.record(Record(then=self._look_at_due))

    def load_one(self) -> None:
        """Bring one event into memory although the destination is paused: it is to find out whether it still is."""
        if self._counts and not self._work.stopping:
            for key in self._reader.due_lines(self._number, self._work.now_ms(), 1):
                self._look(key, due=True, even_paused=True)

    def _look_at_due(self) -> None:
        self._asked = False
        room = self._work.limits.loaded - self.loaded
        if room <= 0 or not self._work.is_sending:
            return
        keys = self._reader.due_lines(self._number, self._work.now_ms(), room + 1)
        self._crowded = len(keys) > room
        for key in keys[:room]:
            self._look(key, due=True)

    def _look(self, key: Key, *, due: bool = False, even_paused: bool = False) -> None:
        work, now = self._work, self._work.now_ms()
        room = work.limits.loaded - self.loaded
        line = self._reader.line(self._number, key, 1 if self._crowded else max(1, min(room, AT_ONCE)))
        if not line or line[0].position in self.in_hand or not self._is_head(line[0]):
            # A place that is not durable yet, or an event that stands before it elsewhere, looks here again.
            if due:
                self.look_at_later(key, NEVER)
            return
        progress = self._reader.progress(self._number, line[0].position)
        next_at = _next_at(progress)
        if next_at > now:
            self.look_at_later(key, next_at)
        elif room <= 0 or not (work.is_sending or even_paused):
            self._crowded = self._crowded or room <= 0
            self.look_at_later(key, now)
        else:
            for key_ in line[0].keys:
                self.look_at_later(key_, NEVER)
            self._take(line[0], progress)
            if len(line[0].keys) == 1:
                self._take_followers(line)

    def _take(self, parked: Parked, progress: Progress | None) -> None:
        self.in_hand.add(parked.position)
        self.loaded += 1
        self._load(parked, progress)

    def _take_followers(self, line: list[Parked]) -> None:
        """Those right behind the head that stand in no other line: they go out one after the other, as in memory."""
        now = self._work.now_ms()
        for parked in line[1:]:
            progress = self._reader.progress(self._number, parked.position)
            if parked.keys != line[0].keys or parked.position in self.in_hand or _next_at(progress) > now:
                return
            self._take(parked, progress)

    def _is_head(self, parked: Parked) -> bool:
        return all(
            self._work.line_up.lanes.length(key) == 0 and self._reader.head(self._number, key) == parked.position
            for key in parked.keys
        )


def _next_at(progress: Progress | None) -> int:
    return max(progress.next_at, progress.not_before) if progress is not None else 0
