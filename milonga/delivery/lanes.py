"""
Order where it can be seen: a lane is the line behind one ordering key. Pure: no clock, no I/O.

An event is ready when it is the first unfinished one, in the order of adding, in all its lanes. As every lane keeps the
same order, the oldest event is always ready: nothing can lock up.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from milonga.destinations.contract import Key

T = TypeVar("T", bound=Hashable)


class Lanes(Generic[T]):
    """Lines of things (any hashable), each standing in the lanes of its keys."""

    def __init__(self) -> None:
        self._lanes: dict[Key, deque[T]] = {}
        self._keys: dict[T, tuple[Key, ...]] = {}
        self._behind: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def length(self, key: Key) -> int:
        """How many stand in this lane, the first included."""
        lane = self._lanes.get(key)
        return len(lane) if lane else 0

    def standing(self, key: Key) -> tuple[T, ...]:
        """Who stands in this lane, in order."""
        return tuple(self._lanes.get(key, ()))

    def is_first(self, thing: T) -> bool:
        """Whether nothing stands before it in any of its lanes."""
        return self._behind[thing] == 0

    def add(self, thing: T, keys: tuple[Key, ...]) -> bool:
        """Join the end of each lane; return whether it is ready. A thing stands here once; keys are distinct."""
        behind = 0
        for key in keys:
            lane = self._lanes.get(key)
            if lane is None:
                self._lanes[key] = deque((thing,))
            else:
                lane.append(thing)
                behind += 1
        self._keys[thing] = keys
        self._behind[thing] = behind
        return behind == 0

    def finish(self, thing: T) -> list[T]:
        """Leave all lanes, from whatever place; return those that are ready now and were not before."""
        ready: list[T] = []
        for key in self._keys.pop(thing):
            lane = self._lanes[key]
            if lane[0] is thing or lane[0] == thing:
                lane.popleft()
                if lane:
                    first = lane[0]
                    self._behind[first] -= 1
                    if self._behind[first] == 0:
                        ready.append(first)
            else:
                lane.remove(thing)
            if not lane:
                del self._lanes[key]
        del self._behind[thing]
        return ready

    def everything(self) -> list[T]:
        """All that stand here, in order of adding."""
        return list(self._keys)

    def connected(self, keys: Iterable[Key]) -> tuple[set[Key], list[T]]:
        """
        All keys that hang together with these through things that stand in several lanes, and all those things.
        Whoever takes a lane away takes these, or the order behind the taken ones would be lost.
        """
        todo, seen, things = list(keys), set[Key](), dict[T, None]()
        while todo:
            key = todo.pop()
            if key in seen:
                continue
            seen.add(key)
            for thing in self._lanes.get(key, ()):
                if thing not in things:
                    things[thing] = None
                    todo.extend(self._keys[thing])
        return seen, list(things)
