"""Events by what they have in common, for the search and for picking one: a page at a time, newest first."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace

from milonga.console.links import position_of
from milonga.console.visit import Visit
from milonga.eventlog.api import Offset, Position, Stored
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts import explain
from milonga.facts.events import as_row
from milonga.facts.facts import Facts, Place
from milonga.facts.filed import Found, Under, with_filed
from milonga.facts.summary import Ended, ends_of
from milonga.index import search as by_index
from milonga.index.search import Query
from milonga.index.standing import Standing
from milonga.index.terms import NO_ACCOUNT, seen_in
from milonga.spec.event import EventType
from milonga.spec.read import EVENT_TYPES

PAGE: Final = 50  #: rows


class Asked(Struct, frozen=True, kw_only=True):
    """As typed; "" for any."""

    type: str = ""
    name: str = ""
    user: str = ""
    account: str = ""
    no_account: bool = False
    source: str = ""
    message: str = ""
    module: str = ""

    @property
    def anything(self) -> bool:
        return self != Asked()


class Rows(Struct, frozen=True):
    """
    rows       as `event_rows` has them
    older      the parameter `before` that goes on from here; "" if there is nothing more
    looked_to  unix milliseconds, if the search was cut short there
    standing   how far the index is that was searched; None if it was the log itself
    """

    rows: Sequence[dict[str, Any]]
    older: str = ""
    looked_to: int | None = None
    standing: Standing | None = None


def asked(visit: Visit) -> Asked:
    """Types that do not exist count as not given: the form has none."""
    type_ = visit.text("type")
    return Asked(
        type=type_ if type_ in EVENT_TYPES else "",
        name=visit.text("name"),
        user=visit.text("user"),
        account="" if visit.text("noAccount") else visit.text("account"),
        no_account=bool(visit.text("noAccount")),
        source=visit.text("source"),
        message=visit.text("message"),
        module=visit.text("module"),
    )


def look(visit: Visit, facts: Facts, wanted: Asked, limit: int = PAGE) -> Rows:
    """UserError if there never was such a source."""
    before = position_of(visit.text("before"))
    if not wanted.anything:
        return _newest(facts, limit, AFTER_ALL if before is None else before.offset)
    query = Query(
        type=cast("EventType | None", wanted.type or None),
        name=wanted.name or None,
        module=wanted.module or None,
        user=wanted.user or None,
        account=NO_ACCOUNT if wanted.no_account else wanted.account or None,
        message_id=wanted.message or None,
        sources=frozenset(facts.sources_called(wanted.source)) if wanted.source else None,
    )
    found = visit.services.index.search(query, limit, before)
    all_ = of_account(facts, query, found, limit, before)
    events = all_.events
    if wanted.message and not events and not found.standing.is_fresh:
        events = explain.by_message_id(facts, wanted.message)[:limit]
    rows = event_rows(facts, events, ends_of(facts, events), all_.filed)
    older = None if all_.before is None else Position(0, all_.before)
    return Rows(rows, as_parameter(older), all_.until, found.standing)


def of_account(facts: Facts, query: Query, found: by_index.Found, limit: int, before: Position | None = None) -> Found:
    """
    What a search by the index found, and, if it was one of an account, what replays filed under that.

    limit, before  of the search
    """
    goes_on = None if found.before is None else found.before.offset
    named = Found(found.events, goes_on, found.looked_to)
    if not query.account:
        return named
    others = replace(query, account=None)
    upto = AFTER_ALL if before is None else before.offset
    return with_filed(facts, query.account, named, lambda stored: by_index.fits(seen_in(stored), others), limit, upto)


def _newest(facts: Facts, limit: int, before: Offset) -> Rows:
    """What nobody asked anything of needs no index, and lags behind nothing."""
    events = facts.log.newest(limit + 1, before)
    page = events[:limit]
    older = as_parameter(page[-1].position if len(events) > limit else None)
    return Rows(event_rows(facts, page, ends_of(facts, page)), older)


def as_parameter(position: Position | None) -> str:
    """ "" if there is nothing more."""
    return "" if position is None else f"{position.partition}-{position.offset}"


def event_rows(
    facts: Facts,
    events: Sequence[Stored],
    ends: Mapping[Position, Sequence[tuple[Place, Ended]]],
    filed: Mapping[Position, Sequence[Under]] = {},
) -> list[dict[str, Any]]:
    """
    As milonga.facts.events has them, with `ends`: (destination, state, code) of each, and `replays` that filed it under
    the account that was asked for.

    ends   of these events (milonga.facts.summary.ends_of)
    filed  those of them that name no account
    """
    return [
        {
            **as_row(facts, stored),
            "erased": stored.event.stamp.is_erased,
            "ends": [(place.called, state, code) for place, (state, code) in ends[stored.position]],
            "replays": sorted({one.replay for one in filed.get(stored.position, ())}),
        }
        for stored in events
    ]
