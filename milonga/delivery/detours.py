"""
The detour of an account that floods: its events stay in the log, and a reader of their own brings them when it is their
turn, so that everybody else's are read past them at once. No I/O: that reader is in milonga.delivery.reading.

A detour begins behind the event that was one too many. From there on the destination's main reader hands over whatever
belongs to the account, unread, and the detour's reader follows in its own window, until it has caught up: then the
account comes the usual way again. All that came before is in memory, or parked, by the time the detour brings more; so
order holds.

Some events have a key of another account, too (`Destination.crossing`): that account joins the detour, or, if that
cannot be, the main reader stops in front of the event until the detours it touches have caught up.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from milonga.delivery.rows import DetourRow
from milonga.delivery.window import Window
from milonga.eventlog.api import Offset
from milonga.spec.stored import Stamp
from milonga.spec.text import well_formed

MOST_JOINED = 100  #: accounts that share a detour


class Blocked(Exception):
    """The main reader cannot pass this event before the detours it touches have caught up."""


class Detour:
    """
    leader    the account that made it necessary
    window    how far its own reader has come
    upto      the last offset it brings; None while the account goes on this way
    begins    account -> offset behind which its events come this way
    unread    how many of them wait in the log, as far as we know
    counted   up to this offset of the main reader
    read_at   unix milliseconds when the newest event that it brought was received; 0 before the first
    changed   set when there is something new to do
    """

    def __init__(self, partition: int, row: DetourRow) -> None:
        self.partition, self.leader = partition, row.leader
        self.window = Window(row.after)
        # One that had caught up before a crash must do so again: until then later events would overtake what it brings.
        caught_up = row.upto is not None and row.after >= row.upto
        self.upto, self.begins = row.upto if caught_up else None, dict(row.begins)
        self.unread, self.counted = row.unread, row.counted
        self.read_at = 0
        self.changed = asyncio.Event()
        self._parked = 0
        self._moved_at = 0.0

    def covers(self, account: str, offset: Offset) -> bool:
        """Whether this event comes this way."""
        begin = self.begins.get(account)
        return begin is not None and begin < offset and (self.upto is None or offset <= self.upto)

    def hand_over(self, offset: Offset, events: int = 1) -> None:
        """The main reader met so many of its events, the last of them at or before this offset."""
        if offset > self.counted:
            self.unread, self.counted = self.unread + events, offset
        self.changed.set()

    def row(self, read_to: Offset) -> DetourRow:
        """read_to  of the main reader"""
        self.counted = max(self.counted, read_to)
        return DetourRow(
            leader=self.leader,
            after=self.window.watermark,
            upto=self.upto,
            begins=dict(self.begins),
            unread=self.unread + len(self.window),
            counted=self.counted,
        )

    def clock_set(self, seconds: float) -> None:
        self._moved_at = self._moved_at and self._moved_at + seconds

    def lines_move(self, parked: int, now: float, patience: float) -> bool:
        """
        Whether to wait for parked events of the account, which go first: some are left, and their number has gone down
        within `patience` seconds.
        """
        if parked < self._parked or not self._moved_at:
            self._moved_at = now
        self._parked = parked
        return parked > 0 and now < self._moved_at + patience


class Detours:
    """All of one destination; `most` at a time. An account has one at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_account: dict[tuple[int, str], Detour] = {}
        self._all: list[Detour] = []
        self.begun: list[Detour] = []  #: that nobody follows yet

    def __bool__(self) -> bool:
        return bool(self._all)

    def __iter__(self) -> Iterator[Detour]:
        return iter(self._all)

    def of_partition(self, partition: int) -> list[Detour]:
        return [detour for detour in self._all if detour.partition == partition]

    def passed_by(self, partition: int, after: Offset) -> set[str]:
        """Accounts whose every event behind `after` comes on a detour, whatever their number may be."""
        return {
            account
            for (where, account), detour in self._by_account.items()
            if where == partition and detour.upto is None and detour.begins[account] <= after
        }

    def bring_all(self, partition: int, accounts: Iterable[str], upto: Offset) -> bool:
        """Whether every event of these accounts up to there, which the main reader passed by, comes on a detour."""
        return all(self.way_of(partition, account, upto) is not None for account in accounts)

    def hand_over(self, partition: int, passed: Mapping[str, int], upto: Offset) -> None:
        """The main reader has passed by so many events of each account (`bring_all`)."""
        of: Counter[Detour] = Counter()
        for account, events in passed.items():
            if (detour := self.way_of(partition, account, upto)) is not None:
                of[detour] += events
        for detour, events in of.items():
            detour.hand_over(upto, events)

    def begin(self, partition: int, account: str, offset: Offset) -> bool:
        """The account goes another way behind this event. False if it cannot, or does so already."""
        if len(self._all) >= self._most or (partition, account) in self._by_account:
            return False
        row = DetourRow(leader=account, after=offset, upto=None, begins={account: offset}, unread=0, counted=offset)
        self.add(Detour(partition, row))
        return True

    def add(self, detour: Detour) -> None:
        self._all.append(detour)
        self.begun.append(detour)
        for account in detour.begins:
            self._by_account[detour.partition, account] = detour

    def end(self, detour: Detour) -> None:
        """All it had to bring has been brought, and is finished or parked."""
        self._all.remove(detour)
        for account in detour.begins:
            del self._by_account[detour.partition, account]

    def way_of(self, partition: int, account: str, offset: Offset, others: Collection[str] = ()) -> Detour | None:
        """
        Which one brings this event, which must wait its turn behind the `others` too; None if the main reader does.
        Blocked if neither can.
        """
        if not others:
            detour = self._by_account.get((partition, account))
            return detour if detour is not None and detour.covers(account, offset) else None
        first, *further = [*dict.fromkeys(self._touched(partition, (account, *others), offset))] or (None,)
        if first is None:
            return None
        joining = [name for name in dict.fromkeys((account, *others)) if not first.covers(name, offset)]
        if further or (joining and not self._may_join(first, joining)):
            raise Blocked
        for name in joining:
            first.begins[name] = offset - 1
            self._by_account[partition, name] = first
        return first

    def _may_join(self, detour: Detour, accounts: list[str]) -> bool:
        if detour.upto is not None or len(detour.begins) + len(accounts) > MOST_JOINED:
            return False
        return not any((detour.partition, name) in self._by_account for name in accounts)

    def _touched(self, partition: int, accounts: Iterable[str], offset: Offset) -> Iterator[Detour]:
        for account in accounts:
            detour = self._by_account.get((partition, account))
            if detour is not None and detour.covers(account, offset):
                yield detour


def account_of(stamp: Stamp) -> str:
    """The account, or what stands for it: with it the event's keys begin."""
    return well_formed(stamp.account or stamp.user_id or stamp.anonymous_id or "")
