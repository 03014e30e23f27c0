"""The events of one destination that are in memory: who is ready, who waits for whom, who waits for a time. Pure."""

import heapq
from collections import Counter
from collections.abc import Iterable
from itertools import count

from milonga.delivery.entry import Entry, Stage
from milonga.delivery.lanes import Lanes
from milonga.delivery.turns import Turns
from milonga.destinations.contract import Key


class LineUp:
    """
    lanes  who waits for whom
    turns  who is ready, and who holds a slot
    bytes  that all of them weigh, about
    """

    def __init__(self, in_flight: int) -> None:
        self.lanes: Lanes[Entry] = Lanes()
        self.turns = Turns(in_flight)
        self.bytes = 0
        self._delayed: list[tuple[float, int, Entry]] = []
        self._owners: Counter[str] = Counter()
        self._number = count(1)

    def __len__(self) -> int:
        return len(self.lanes)

    def add(self, entry: Entry) -> None:
        """Join the end of its lanes; ready at once if nothing stands before it and its bytes are here."""
        entry.number = next(self._number)
        self.bytes += entry.size
        self._owners[entry.owner] += 1
        first = self.lanes.add(entry, entry.keys)
        if entry.stored is None:
            entry.stage = Stage.loading
            return
        entry.stage = Stage.waiting
        if first:
            self._put_first(entry)

    def loaded(self, entry: Entry) -> None:
        """Its bytes are here now."""
        self.bytes += entry.size
        entry.stage = Stage.waiting
        if self.lanes.is_first(entry):
            self._put_first(entry)

    def remove(self, entry: Entry) -> None:
        """It has ended, or goes back among the parked. Whoever is first behind it becomes ready."""
        entry.stage = Stage.gone
        self.bytes -= entry.size
        self._owners[entry.owner] -= 1
        if not self._owners[entry.owner]:
            del self._owners[entry.owner]
        for following in self.lanes.finish(entry):
            if following.stage is Stage.waiting:
                self._put_first(following)

    def of_owner(self, owner: str) -> int:
        """How many events of this account are here."""
        return self._owners[owner]

    def keys_of_owner(self, entry: Entry) -> set[Key]:
        """The lanes of all events of the same account."""
        return {key for other in self.lanes.everything() if other.owner == entry.owner for key in other.keys}

    def longest_lane(self, keys: Iterable[Key]) -> int:
        return max(map(self.lanes.length, keys), default=0)

    def take_oldest(self, now: float) -> Entry | None:
        """
        The one that joined first of those that the receiver would take now, our own waits aside; of a slow account only
        if there is no other.
        """
        slow = None
        for entry in self.lanes.everything():
            if entry.stage is Stage.ready or (entry.stage is Stage.delayed and entry.progress.not_before <= now * 1000):
                if not self.turns.is_slow(entry.owner):
                    return entry
                slow = slow or entry
        return slow

    def take_fresh(self) -> Entry | None:
        """The one that joined first of those that are ready and never failed; none of a slow account."""
        for entry in self.lanes.everything():
            if entry.stage is Stage.ready and not entry.failed and not self.turns.is_slow(entry.owner):
                return entry
        return None

    def put_back(self, entry: Entry) -> None:
        """It cannot go on just now; it is the next of its account to go."""
        entry.stage = Stage.ready
        self.turns.put_back(entry)

    def delay(self, entry: Entry, until: float) -> None:
        """Not before `until` (unix seconds). It keeps its lanes."""
        entry.stage = Stage.delayed
        entry.next_at = until
        heapq.heappush(self._delayed, (until, next(self._number), entry))

    def wake(self, now: float) -> None:
        """Those whose time has come are ready again."""
        while self._delayed and self._delayed[0][0] <= now:
            until, _, entry = heapq.heappop(self._delayed)
            if entry.stage is Stage.delayed and entry.next_at == until:
                self._make_ready(entry)

    def hurry(self) -> None:
        """The destination is back: nobody waits longer than the receiver asked."""
        waiting = [
            entry for until, _, entry in self._delayed if entry.stage is Stage.delayed and entry.next_at == until
        ]
        self._delayed.clear()
        for entry in sorted(waiting, key=lambda entry: entry.number):
            self.delay(entry, entry.progress.not_before / 1000)

    def clock_set(self, seconds: float) -> None:
        """The clock was set by so much: every wait lasts as long as it would have."""
        milliseconds = round(seconds * 1000)
        for entry in self.everything():
            entry.clock_set(seconds, milliseconds)
        self._delayed = [(until + seconds, number, entry) for until, number, entry in self._delayed]
        heapq.heapify(self._delayed)

    def next_wake(self) -> float | None:
        """When `wake` has something to do next (unix seconds), or a little earlier."""
        return self._delayed[0][0] if self._delayed else None

    def any_to_try(self, now: float) -> Entry | None:
        """
        One that could go out if our own waits did not matter, but the receiver's: a ready one, else the one whose time
        comes first.
        """
        if (entry := self.turns.take()) is not None:
            return entry
        passed, found = [], None
        while self._delayed and found is None:
            waiting = heapq.heappop(self._delayed)
            until, _, entry = waiting
            if entry.stage is Stage.delayed and entry.next_at == until:
                if entry.progress.not_before <= now * 1000:
                    found = entry
                else:
                    passed.append(waiting)
        for waiting in passed:
            heapq.heappush(self._delayed, waiting)
        return found

    def connected(self, keys: Iterable[Key]) -> list[Entry]:
        """All that hang together with these keys, in order of joining."""
        return sorted(self.lanes.connected(keys)[1], key=lambda entry: entry.number)

    def everything(self) -> list[Entry]:
        """In order of joining."""
        return self.lanes.everything()

    def _put_first(self, entry: Entry) -> None:
        if entry.next_at:
            self.delay(entry, entry.next_at)
        else:
            self._make_ready(entry)

    def _make_ready(self, entry: Entry) -> None:
        entry.stage = Stage.ready
        self.turns.add(entry)
