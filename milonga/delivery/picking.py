"""
What a replay reads of the log: a whole stretch of it, page by page; or, if only what ended with a code is wanted, or
what somebody chose, the places where such events lie, and nothing between them. The outcomes tell those places in the
order of the log (`OutcomeReader.places`), so finding few events among many costs a look at compact rows rather than at
every event.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from milonga.delivery.selection import Selection
from milonga.eventlog.api import Damaged, LogReader, Offset, Stored

GAP: Final = 20  #: events between two places that are read along rather than jumped over
LOOKED_THROUGH: Final = 100_000  #: offsets whose outcomes are looked through at a time

Look: TypeAlias = Callable[[str, int, Offset, Offset, int], Awaitable[list[Offset]]]
"""(code, partition, after, upto, limit): the first so many offsets with such an outcome, ascending."""


class Page(Struct, frozen=True):
    """
    items  in order
    begin  nothing that is wanted lies behind the page before up to here: the first item comes next
    upto   nothing else that is wanted lies up to here
    gone   offsets that have left the log
    """

    items: list[Stored | Damaged]
    begin: Offset
    upto: Offset
    gone: int


class Picker:
    def __init__(self, log: LogReader, wanted: Selection | None, look: Look, most: int) -> None:
        """
        wanted  None: everything
        look    asks the outcomes
        most    events of one page
        """
        self._log, self._look, self._most = log, look, most
        self._code = None if wanted is None else wanted.code
        self._positions = None if wanted is None else wanted.positions

    @property
    def _takes_all(self) -> bool:
        return self._code is None and self._positions is None

    async def page(self, partition: int, after: Offset, upto: Offset) -> Page:
        """The next events between the two; none of them need fit. `after` of the next page is `upto` of this one."""
        if self._takes_all:
            return await self._all(partition, after, upto)
        offsets, sure = await self._places(partition, after, upto)
        if not offsets:
            return Page([], sure, sure, 0)
        run = run_of(offsets, self._most)
        items = await self._log.read(partition, run[0] - 1, run[-1] - run[0] + 1)
        reached = min(items[-1].position.offset, run[-1]) if items else run[-1]
        done = {offset for offset in run if offset <= reached}
        found = [item for item in items if item.position.offset in done]
        last = sure if len(done) == len(offsets) else max(done)
        return Page(found, found[0].position.offset - 1 if found else last, last, len(done) - len(found))

    async def first(self, partition: int, after: Offset, upto: Offset) -> Offset:
        """A place before which nothing is wanted: `after`, or a later one."""
        if self._takes_all:
            return after
        while after < upto:
            offsets, sure = await self._places(partition, after, upto)
            if offsets:
                return offsets[0] - 1
            after = sure
        return upto

    async def _all(self, partition: int, after: Offset, upto: Offset) -> Page:
        items = await self._log.read(partition, after, min(self._most, upto - after))
        items = [item for item in items if item.position.offset <= upto]
        if not items:
            return Page([], upto, upto, upto - after)
        begin = items[0].position.offset - 1
        return Page(items, begin, items[-1].position.offset, begin - after)

    async def _places(self, partition: int, after: Offset, upto: Offset) -> tuple[list[Offset], Offset]:
        """The next ones, ascending, and up to where there are no others."""
        if self._positions is not None:
            chosen = sorted({one for where, one in self._positions if where == partition and after < one <= upto})
            return chosen[: self._most], upto if len(chosen) <= self._most else chosen[self._most - 1]
        assert self._code is not None  # noqa: S101 - or else it takes all
        upto = min(upto, after + LOOKED_THROUGH)
        found = await self._look(self._code, partition, after, upto, self._most)
        return found, upto if len(found) < self._most else found[-1]


def run_of(offsets: Sequence[Offset], most: int) -> list[Offset]:
    """Those of the first that are read together: close to each other, and within `most` of the log."""
    run = [offsets[0]]
    for offset in offsets[1:]:
        if offset - run[-1] > GAP or offset - run[0] >= most:
            break
        run.append(offset)
    return run
