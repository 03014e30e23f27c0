"""
Which event was the last to set what, kept up with the log for a replay: it leaves out of its events what newer ones
have set (milonga.delivery.superseding).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from milonga.delivery.filing import filed, may_be_filed
from milonga.delivery.newest import Newest
from milonga.delivery.replay_rules import counts, has_set
from milonga.delivery.switching import fate
from milonga.delivery.work import Work
from milonga.destinations.contract import Key
from milonga.eventlog.api import Offset, Position, Stored
from milonga.outcomes.model import Outcome
from milonga.spec.event import Event
from milonga.spec.read import read_stamped

AT_ONCE: Final = 400  #: events of one read: the loop serves everybody else between two
A_FEW: Final = 50  #: of them that are read through without a rest
REST: Final = 0.002  #: seconds


async def outcomes_of(work: Work, page: Sequence[Stored]) -> Callable[[Stored], list[Outcome]]:
    """What each of them has at this destination; looked up where the loop need not wait."""
    positions, found, number = [one.position for one in page], dict[Position, list[Outcome]](), work.config.id
    if positions:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(work.tools.aside, work.tools.outcomes.of_many, positions)
    return lambda one: [o for o in found.get(one.position, ()) if o.destination == number]


class Setters:
    """Of the partitions that were begun."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._newest: dict[int, Newest] = {}
        self._noted: dict[int, Offset] = {}  # up to where the log is in `newest`

    def begin(self, partition: int, after: Offset) -> None:
        """Nothing up to here matters."""
        self._newest[partition], self._noted[partition] = Newest(), after

    def is_noted(self, partition: int, upto: Offset) -> bool:
        """Whether it knows all events up to here; of a partition that was not begun nobody asks."""
        return partition not in self._newest or self._noted[partition] >= upto

    def is_newer(self, what: Key, than: Position) -> bool:
        """Whether an event behind this one has set it, and was delivered, or may still be."""
        newest = self._newest.get(than.partition)
        return newest is not None and newest.of(what) > than.offset

    async def note(self, partition: int, upto: Offset) -> None:
        """Some more; to be asked until it is noted."""
        work, after = self._work, self._noted[partition]
        items = await work.tools.log.read(partition, after, AT_ONCE)
        if not items:
            self._noted[partition] = upto  # they are gone from the log
            return
        setters = [item for item in items if isinstance(item, Stored) and self._is_setter(item)]
        ended = await outcomes_of(work, setters)
        taken = work.spans(partition)
        for number, one in enumerate(setters):
            if number % A_FEW == 0:
                await asyncio.sleep(REST)
            if (
                counts(ended(one), fate(taken, one.position.offset))
                and (event := self._read(one, ended(one))) is not None
            ):
                self._newest[partition].note(has_set(work.config, work.kind, event, ended(one)), one.position.offset)
        self._noted[partition] = items[-1].position.offset
        if len(items) == AT_ONCE:
            await asyncio.sleep(REST)

    def close(self) -> None:
        for newest in self._newest.values():
            newest.close()
        self._newest.clear()
        self._noted.clear()

    def _is_setter(self, stored: Stored) -> bool:
        stamp = stored.event.stamp
        return stamp.source == self._work.config.source and stamp.type in self._work.kind.overwriting

    def _read(self, stored: Stored, outcomes: Sequence[Outcome]) -> Event | None:
        """As it was sent, if a replay filed it under an account."""
        try:
            event = stored.event
            if may_be_filed(event.stamp) and any(outcome.replay for outcome in outcomes):
                under = self._work.tools.reader.replays.filed(self._work.config.id, stored.position)
                event = event if under is None else filed(event, under.account)
            return read_stamped(event)
        except Exception:
            return None
