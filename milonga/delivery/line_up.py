"""The events of one destination that are in memory: who is ready, who waits for whom, who waits for a time. Pure."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count

from milonga.delivery.entry import Entry, Stage
from milonga.delivery.lanes import Lanes
from milonga.destinations.contract import Key


class LineUp:
    def __init__(self) -> None:
        self.lanes: Lanes[Entry] = Lanes()
        self.bytes = 0
        self._ready: deque[Entry] = deque()
        self._delayed: list[tuple[float, int, Entry]] = []
        self._number = count()

    def __len__(self) -> int:
        return len(self.lanes)

    def add(self, entry: Entry) -> None:
        """Join the end of its lanes; ready at once if nothing stands before it."""
        self.bytes += entry.size
        first = self.lanes.add(entry, entry.keys)
        if entry.stage is Stage.loading:
            return
        if first:
            self._put_first(entry)
        else:
            entry.stage = Stage.waiting

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
        for following in self.lanes.finish(entry):
            if following.stage is Stage.waiting:
                self._put_first(following)

    def take_ready(self) -> Entry | None:
        """The one that became ready first; it is the caller's from now on."""
        while self._ready:
            entry = self._ready.popleft()
            if entry.stage is Stage.ready:
                return entry
        return None

    def put_back(self, entry: Entry) -> None:
        """It could not be sent after all."""
        entry.stage = Stage.ready
        self._ready.appendleft(entry)

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
                entry.stage = Stage.ready
                self._ready.append(entry)

    def wake_all(self) -> None:
        self.wake(float("inf"))

    def next_wake(self) -> float | None:
        """When `wake` has something to do next (unix seconds), or a little earlier."""
        return self._delayed[0][0] if self._delayed else None

    def any_to_try(self) -> Entry | None:
        """One that could go out if time did not matter: a ready one, else the one whose time comes first."""
        if (entry := self.take_ready()) is not None:
            return entry
        while self._delayed:
            until, _, entry = heapq.heappop(self._delayed)
            if entry.stage is Stage.delayed and entry.next_at == until:
                return entry
        return None

    def connected(self, keys: Iterable[Key]) -> list[Entry]:
        """All that hang together with these keys, in log order."""
        return sorted(self.lanes.connected(keys)[1], key=lambda entry: entry.position)

    def idle(self) -> Iterator[Entry]:
        """Those that are neither under way nor being recorded."""
        return (entry for entry in self.lanes.everything() if entry.stage not in (Stage.flying, Stage.recording))

    def _put_first(self, entry: Entry) -> None:
        if entry.next_at:
            self.delay(entry, entry.next_at)
        else:
            entry.stage = Stage.ready
            self._ready.append(entry)
