"""
The events of an account: those that name it, and those that name none and that a replay filed under it
(milonga.delivery.filing). Where that replay sent them, both count for the account.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from milonga.eventlog.api import START, Offset, Position, Stored
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts.facts import Facts, Place
from milonga.facts.search import SCAN, Wanted, find
from milonga.index.index import EventIndex
from milonga.outcomes.model import Outcome

AT_ONCE: Final = 100  #: events that were filed, read at once
MOST: Final = 500  #: of them, looked at for one page

T = TypeVar("T")


class Under(Struct, frozen=True):
    """Where a replay sent an event under the account, and the replay's number."""

    place: Place
    replay: int


class Found(Struct, frozen=True):
    """
    events  newest first
    before  where to go on; None: there is nothing more
    until   when the last of those that were looked at arrived, unix milliseconds; None if the search was not cut short
    looked  how many of the log were passed by
    filed   those of them that name no account
    """

    events: list[Stored]
    before: Offset | None
    until: int | None
    looked: int = 0
    filed: Mapping[Position, Sequence[Under]] = {}


def find_all(
    facts: Facts,
    wanted: Wanted,
    limit: int,
    scan: int = SCAN,
    before: Offset = AFTER_ALL,
    index: EventIndex | None = None,
) -> Found:
    """As milonga.facts.search.find; of an account also what was filed under it."""
    found = find(facts.log, wanted, limit, scan, before, index)
    named = Found(found.events, found.before, found.until, found.looked)
    if wanted.account is None:
        return named
    return with_filed(facts, wanted.account, named, replace(wanted, account=None).fits, limit, before)


def with_filed(
    facts: Facts, account: str, named: Found, fits: Callable[[Stored], bool], limit: int, before: Offset = AFTER_ALL
) -> Found:
    """
    named          what names the account, as a search found it
    fits           whether an event is what was asked for, its account aside
    limit, before  of that search
    """
    after = START if named.before is None else named.before - 1
    filed, cut = _filed(facts, account, fits, limit + 1, after, before)
    if not filed and cut is None:
        return named
    events = sorted([*named.events, *(stored for stored, _ in filed)], key=_offset, reverse=True)
    goes_on, until = named.before, named.until
    if cut is not None:
        events = [stored for stored in events if _offset(stored) >= _offset(cut)]
        goes_on, until = _offset(cut), cut.event.stamp.received_at
    if len(events) > limit:
        events = events[:limit]
        goes_on, until = _offset(events[-1]), None
    shown = {stored.position for stored in events}
    under = {stored.position: places for stored, places in filed if stored.position in shown}
    return Found(events, goes_on, until, max(named.looked, len(events)), under)


def at_its_places(
    ends: Mapping[Position, Sequence[tuple[Place, T]]], filed: Mapping[Position, Sequence[Under]]
) -> dict[Position, Sequence[tuple[Place, T]]]:
    """
    What became of an account's events, of those that were filed only where they were: elsewhere they are of no account.

    ends  of each event (milonga.facts.summary.ends_of)
    """
    found = dict(ends)
    for position, under in filed.items():
        places = {one.place.config.id for one in under}
        found[position] = [(place, end) for place, end in ends[position] if place.config.id in places]
    return found


def under_row(account: str, under: Sequence[Under]) -> dict[str, Any]:
    """What a row of such an event has besides."""
    return {"filed": [{"account": account, "destination": one.place.called, "replay": one.replay} for one in under]}


def count_filed(facts: Facts, account: str, most: int) -> int:
    """Of those that the log still has; so many at most. By the rows of delivery alone."""
    if facts.delivery is None:
        return 0
    return len(facts.delivery.replays.filed_under(account, 0, facts.log.first() - 1, AFTER_ALL, most))


def _filed(
    facts: Facts, account: str, fits: Callable[[Stored], bool], limit: int, after: Offset, before: Offset
) -> tuple[list[tuple[Stored, list[Under]]], Stored | None]:
    """Newest first, of those between the two; and the last one looked at, if it did not look at all of them."""
    found: list[tuple[Stored, list[Under]]] = []
    if facts.delivery is None:
        return found, None
    looked, after = 0, max(after, facts.log.first() - 1)
    while offsets := facts.delivery.replays.filed_under(account, 0, after, before, AT_ONCE):
        events = facts.log.at_each(offsets)
        outcomes = facts.outcomes.of_many([stored.position for stored in events])
        for stored in events:
            if fits(stored) and (under := _under(facts, account, stored, outcomes)):
                found.append((stored, under))
                if len(found) == limit:
                    return found, None
        looked, before = looked + len(offsets), offsets[-1]
        if len(offsets) < AT_ONCE:
            break
        if looked >= MOST and events:
            return found, events[-1]
    return found, None


def _under(facts: Facts, account: str, stored: Stored, outcomes: Mapping[Position, Sequence[Outcome]]) -> list[Under]:
    """Of one event, at each destination whose line or outcome is that of the filed one."""
    found: list[Under] = []
    for place in facts.places:
        if facts.delivery is None or place.config.source != stored.event.stamp.source:
            continue
        mine = [one for one in outcomes.get(stored.position, ()) if one.destination == place.config.id]
        parked = facts.delivery.parked(place.config.id, stored.position)
        filed = facts.filed(stored.position, place, parked, mine)
        if filed is not None and filed.account == account:
            found.append(Under(place, filed.replay))
    return found


def _offset(stored: Stored) -> Offset:
    return stored.position.offset
