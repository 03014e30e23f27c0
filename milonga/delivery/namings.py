"""
Which account each user's events name, kept up with the log for a replay that files events by it
(milonga.delivery.filing).
"""

import asyncio

from milonga.delivery.named import Named, NoAccount
from milonga.delivery.setters import AT_ONCE, REST
from milonga.delivery.work import Work
from milonga.eventlog.api import Offset, Position, Stored


class Namings:
    """Of the partitions that were begun, and the destination's source."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._named: dict[int, Named] = {}
        self._noted: dict[int, Offset] = {}  # up to where the log is in `named`

    def begin(self, partition: int, after: Offset) -> None:
        """Nothing up to here matters."""
        self._named[partition], self._noted[partition] = Named(), after

    def is_noted(self, partition: int, upto: Offset) -> bool:
        """Whether it knows all events up to here; of a partition that was not begun nobody asks."""
        return partition not in self._named or self._noted[partition] >= upto

    def account_of(self, user: str, at: Position) -> str | NoAccount:
        named = self._named.get(at.partition)
        return NoAccount.unknown if named is None else named.of(user, at.offset)

    async def note(self, partition: int, upto: Offset) -> None:
        """Some more; to be asked until it is noted."""
        items = await self._work.tools.log.read(partition, self._noted[partition], AT_ONCE)
        source = self._work.config.source
        self._named[partition].note(
            (item.position.offset, item.event.stamp)
            for item in items
            if isinstance(item, Stored) and item.event.stamp.source == source
        )
        self._noted[partition] = items[-1].position.offset if items else upto
        if len(items) == AT_ONCE:
            await asyncio.sleep(REST)

    def close(self) -> None:
        for named in self._named.values():
            named.close()
        self._named.clear()
        self._noted.clear()
