"""Pretend receivers in a thread of their own, and what a sceptic checks in what they got."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Self

from milonga.destinations.behavior import Behaviors
from milonga.destinations.pretend import Pretend, Seen
from tests.running import PATIENCE


class Receiving:
    """A pretend receiver that listens between `with` and its end; all methods are for the test's thread."""

    def __init__(self, make: Callable[..., Pretend[Any]], **options: Any) -> None:
        self._make, self._options = make, options
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())

    async def _listen(self) -> None:
        self._stop = asyncio.Event()
        async with self._make(host="127.0.0.1", **self._options) as pretend:
            self._pretend = pretend
            self.url = pretend.url
            self._ready.set()
            await self._stop.wait()

    def _do(self, what: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(PATIENCE)

    def requests(self) -> list[Seen]:
        """All there were, oldest first, dropped ones too."""
        found: list[Seen] = self._do(lambda: list(self._pretend.requests))
        assert self._do(lambda: self._pretend.forgotten) == 0
        return found

    def received(self) -> int:
        return int(self._do(lambda: self._pretend.received))

    def accepted(self) -> list[Seen]:
        """Those a receiver would have taken in: answered 2xx, or dropped after it had read them."""
        return [seen for seen in self.requests() if (seen.status or 0) // 100 == 2 or seen.drop == "after"]

    def behave(self, **behavior: Any) -> None:
        self._do(lambda: self._pretend.behave(**behavior))

    def follow(self, behaviors: Behaviors) -> None:
        """From now on these decide what is done with each request."""

        def change() -> None:
            self._pretend._behaviors = behaviors

        self._do(change)

    def behave_well(self) -> None:
        self._do(self._pretend.behave_well)

    def clear(self) -> None:
        self._do(self._pretend.clear)


def key_of(seen: Seen) -> tuple[str, str]:
    return seen.params["sdr_o"], seen.params.get("sdr_u", "")


def what_of(seen: Seen) -> Hashable:
    """The activity of a track; everything else by all it says."""
    return seen.params.get("sdr_a") or tuple(sorted(seen.params.items()))


def duplicates(accepted: Iterable[Seen]) -> int:
    """How many came more than once."""
    things = [(key_of(seen), what_of(seen)) for seen in accepted]
    return len(things) - len(set(things))


def first_deliveries(accepted: Iterable[Seen]) -> dict[tuple[str, str], list[Hashable]]:
    """Per account and user, in the order in which each thing came first."""
    found: dict[tuple[str, str], dict[Hashable, None]] = defaultdict(dict)
    for seen in accepted:
        found[key_of(seen)].setdefault(what_of(seen))
    return {key: list(things) for key, things in found.items()}


def overlaps(requests: Iterable[Seen]) -> list[tuple[Seen, Seen]]:
    """Pairs of one account and user that were in flight at the same time."""
    last: dict[tuple[str, str], Seen] = {}
    found = []
    for seen in sorted(requests, key=lambda one: one.started):
        before = last.get(key_of(seen))
        if before is not None and (before.ended is None or before.ended > seen.started):
            found.append((before, seen))
        last[key_of(seen)] = seen
    return found
