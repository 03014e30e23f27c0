"""Finding events in the log by what they are: newest first, and never further back than is bearable to wait for."""

from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from milonga.eventlog.api import Offset, Stored
from milonga.eventlog.lookup import AFTER_ALL, EventLookup
from milonga.spec.called import name_in
from milonga.spec.event import EventType

PAGE = 500  #: events in memory at once
SCAN = 100_000  #: events looked through unless told otherwise: some seconds


class Wanted(Struct, frozen=True, kw_only=True):
    """Every one that is given must fit; ids and names exactly. sources: ids of them"""

    type: EventType | None = None
    name: str | None = None
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
            and (self.name is None or name_in(stored.event) == self.name)
        )


class Found(Struct, frozen=True):
    """
    events  newest first
    looked  how many were looked at
    until   when the last of them arrived, unix milliseconds; None if the search was not cut short
    last    where to go on; None: there is nothing more to look at
    """

    events: list[Stored]
    looked: int
    until: int | None
    last: Stored | None = None


def find(log: EventLookup, wanted: Wanted, limit: int, scan: int = SCAN, before: Offset = AFTER_ALL) -> Found:
    """before  only what lies before it: where a former search went to"""
    found: list[Stored] = []
    looked, last = 0, None
    for last in islice(candidates(log, wanted, before), scan):
        looked += 1
        if wanted.fits(last):
            found.append(last)
            if len(found) == limit:
                return Found(found, looked, None, last)
    if last is None or looked < scan:
        return Found(found, looked, None)
    return Found(found, looked, last.event.stamp.received_at, last)


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
