"""
Finding events in the log by what they are: newest first, and never further back than is bearable to wait for. Where
this process makes the index of the log, by that; what it does not have yet, or all where there is none, by looking
through the log itself. So nothing is missing in an answer; what was not looked at any more, it says.
"""

from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from milonga.eventlog.api import START, Offset, Position, Stored
from milonga.eventlog.lookup import AFTER_ALL, EventLookup
from milonga.index.index import EventIndex
from milonga.index.search import Query
from milonga.index.standing import FRESH, Standing
from milonga.index.terms import NO_ACCOUNT, filed, seen_in
from milonga.spec.called import name_in
from milonga.spec.event import EventType

PAGE = 500  #: events in memory at once
SCAN = 100_000  #: events looked through unless told otherwise: some seconds


class Wanted(Struct, frozen=True, kw_only=True):
    """
    Every one that is given must fit; ids and names exactly.

    name     of a track, page or screen call; of a page also its category, and what Totango calls it
    module   Totango's, as its destination names it unless its settings say otherwise
    sources  ids of them
    """

    type: EventType | None = None
    name: str | None = None
    module: str | None = None
    user: str | None = None
    account: str | None = None
    no_account: bool = False
    sources: frozenset[int] | None = None
    message_id: str | None = None

    def fits(self, stored: Stored) -> bool:
        stamp = stored.event.stamp
        return (
            self.type in (None, stamp.type)
            and self.user in (None, stamp.user_id)
            and self.account in (None, stamp.account)
            and not (self.no_account and stamp.account is not None)
            and self.message_id in (None, stamp.message_id)
            and (self.sources is None or stamp.source in self.sources)
            and (self.name is None or _is_called(stored, self.name))
            and (self.module is None or seen_in(stored).module == filed(self.module))
        )

    @property
    def query(self) -> Query:
        return Query(
            type=self.type,
            name=self.name,
            module=self.module,
            account=NO_ACCOUNT if self.no_account else self.account,
            user=self.user,
            message_id=self.message_id,
            sources=self.sources,
        )


def _is_called(stored: Stored, name: str) -> bool:
    """As the index has it; most events need no closer look."""
    if name_in(stored.event) == name:
        return True
    return stored.event.stamp.type in ("page", "screen") and filed(name) in seen_in(stored).names


class Found(Struct, frozen=True):
    """
    events  newest first
    looked  how many events were passed by, those that were found among them
    until   when the last of them arrived, unix milliseconds; None if the search was not cut short
    before  where to go on; None: there is nothing more to look at
    """

    events: list[Stored]
    looked: int
    until: int | None
    before: Offset | None = None


def find(
    log: EventLookup,
    wanted: Wanted,
    limit: int,
    scan: int = SCAN,
    before: Offset = AFTER_ALL,
    index: EventIndex | None = None,
) -> Found:
    """
    scan    so many events of the log are looked through at most, where the index does not have them
    before  only what lies before it: where a former search went to
    index   of this log, made by this process; one that others make does not know what it lacks
    """
    if index is None or wanted == Wanted():
        return _look_through(log, wanted, limit, scan, before)
    by_index = index.search(wanted.query, limit, Position(0, before))
    standing, end = by_index.standing, log.end()
    if not _is_whole(standing):
        return _look_through(log, wanted, limit, scan, before)
    newer: list[Stored] = []
    if before > standing.upto + 1 and end - standing.upto >= FRESH:  # more than it looks for in the log by itself
        first = _look_through(log, wanted, limit, scan, before, beyond=standing.upto)
        if first.before is not None:
            return first
        newer = first.events
        by_index = index.search(wanted.query, limit - len(newer), Position(0, standing.upto + 1))
    goes_on = None if by_index.before is None else by_index.before.offset
    looked = min(before, end + 1) - (log.first() if goes_on is None else goes_on)
    until = None if by_index.is_complete else by_index.looked_to
    return Found(newer + by_index.events, max(looked, len(newer) + len(by_index.events)), until, goes_on)


def each(log: EventLookup, wanted: Wanted, index: EventIndex | None = None, *, at_once: int = PAGE) -> Iterator[Stored]:
    """All that fit, newest first, however long that takes; arguments as for `find`."""
    before: Offset | None = AFTER_ALL
    while before is not None:
        found = find(log, wanted, at_once, SCAN, before, index)
        yield from found.events
        before = found.before


def _is_whole(standing: Standing) -> bool:
    """Whether all up to `upto` is in it."""
    return standing.upto > START and not standing.repairing and not standing.trouble


def _look_through(
    log: EventLookup, wanted: Wanted, limit: int, scan: int, before: Offset, beyond: Offset = START
) -> Found:
    """beyond  only what lies beyond it"""
    found: list[Stored] = []
    looked, last = 0, None
    for one in islice(candidates(log, wanted, before), scan):
        if one.position.offset <= beyond:
            return Found(found, looked, None)
        looked, last = looked + 1, one
        if wanted.fits(one):
            found.append(one)
            if len(found) == limit:
                return Found(found, looked, None, one.position.offset)
    if last is None or looked < scan:
        return Found(found, looked, None)
    return Found(found, looked, last.event.stamp.received_at, last.position.offset)


def candidates(log: EventLookup, wanted: Wanted, before: Offset = AFTER_ALL) -> Iterator[Stored]:
    """Newest first, by the narrowest thing the log can look up."""
    if wanted.message_id is not None:
        yield from (one for one in log.by_message_id(wanted.message_id, SCAN) if one.position.offset < before)
        return
    while True:
        if wanted.account is not None:
            page = log.by_account(wanted.account, PAGE, before)
        elif wanted.user is not None:
            page = log.by_user(wanted.user, PAGE, before)
        else:
            page = log.newest(PAGE, before)
        yield from page
        if len(page) < PAGE:
            return
        before = page[-1].position.offset
