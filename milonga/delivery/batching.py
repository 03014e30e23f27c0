"""
Which events travel in one request, and when it leaves. Pure but for the turns and entries it is given.

A request takes those whose turn it is, by the same turns as single ones. Each is the first in all its lanes, so no two
of them share a key and their order among one another does not matter; those behind them leave with later requests.
It holds one slot, whatever it carries.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from milonga.delivery.entry import Entry, Stage
from milonga.delivery.turns import Turns
from milonga.destinations.contract import Batching, Json, Request

APART: Final = 10  #: a batch that was refused is sent again in so many parts: one bad event of 100 costs 21 requests
TIMEOUT: Final = "timeout"  #: of NoAnswer


class Aboard(Struct, frozen=True):
    """
    An event that goes out, and what is sent of it.

    size  bytes that it adds to a batch, at most; 0 where there are no batches
    """

    entry: Entry
    request: Request
    size: int = 0


Load = Sequence[Aboard]
"""What travels in one request: one or more. The first holds the slot."""


def aboard(entry: Entry, batching: Batching | None) -> Aboard | None:
    """With the first of its requests that is not delivered yet; None if all are. Raises what encoding it raises."""
    done = entry.progress.parts
    request = next((r for r in entry.requests if r.part not in done), None)
    if request is None:
        return None
    return Aboard(entry, request, 0 if batching is None else _size(request))


def whole(load: Load, batching: Batching | None) -> Request:
    """The one request to send."""
    if batching is None or len(load) == 1:
        return load[0].request
    return batching.join([one.request for one in load])


def company(entry: Entry, most: int) -> int:
    """
    Of how many events, itself included, its request may be. One that failed in company may be why: it gets less with
    each further try, so that those around it go on; after a timeout, which costs them most, none at all.
    """
    progress = entry.progress
    if progress.code == TIMEOUT:
        return 1
    tries = progress.attempts + progress.perhaps
    return max(1, min(entry.company or most, most >> max(0, tries - 1)))


def apart(batch: int) -> int:
    """The company for each event of a batch that was refused."""
    return max(1, batch // APART)


class Gathering:
    """
    Whether to wait for more events before a request leaves.

    until  unix seconds at which it leaves in any case; None if none is waiting
    """

    def __init__(self, batching: Batching) -> None:
        self._batching = batching
        self.until: float | None = None

    def clock_set(self, seconds: float) -> None:
        """The clock was set by so much: nobody waits longer for company than they would have."""
        if self.until is not None:
            self.until += seconds

    def goes_on(self, ready: int, under_way: int, now: float) -> bool:
        """
        True while it is to be waited.

        ready      events that could leave
        under_way  requests that have no answer yet; with none nothing waits, for nothing would be gained
        """
        if not ready or not under_way or ready >= self._batching.events:
            self.until = None
            return False
        if self.until is None:
            self.until = now + self._batching.wait
        if now < self.until:
            return True
        self.until = None
        return False


def gathered(first: Aboard, batching: Batching, turns: Turns, next_of: Callable[[Entry], Aboard | None]) -> Load:
    """
    It, and those that travel with it.

    next_of  what goes out of an event now; None if it has just ended instead
    """
    first.entry.stage = Stage.flying  # at once: an event may stand in the turns twice
    load, size, most = [first], first.size, company(first.entry, batching.events)
    if first.request.sign is not None or turns.is_slow(first.entry.owner):
        return load
    while len(load) < most and (entry := turns.take_along()) is not None:
        one = next_of(entry)
        if one is None:
            continue
        size += one.size
        may = company(entry, batching.events)
        if len(load) >= may or size > batching.size or not _alike(one.request, first.request):
            turns.put_back(entry)
            break
        most = min(most, may)
        entry.stage = Stage.flying
        load.append(one)
    return load


def _size(request: Request) -> int:
    value = request.body.value if isinstance(request.body, Json) else dict(request.body.params)
    return len(msgspec.json.encode(value)) + 1


def _alike(one: Request, other: Request) -> bool:
    return (
        one.sign is None
        and one.url == other.url
        and one.headers == other.headers
        and one.method == other.method
        and one.secrets == other.secrets
    )
