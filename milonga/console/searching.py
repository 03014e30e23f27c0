"""Events by what they have in common, for the search and for picking one: a page at a time, newest first."""

from collections.abc import Sequence
from typing import Any, Final, cast

from msgspec import Struct

from milonga.console.links import position_of
from milonga.console.visit import Visit
from milonga.eventlog.api import Offset, Stored
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts.events import as_row
from milonga.facts.facts import Facts
from milonga.facts.search import Wanted, find
from milonga.facts.summary import ends_of
from milonga.spec.event import EventType
from milonga.spec.read import EVENT_TYPES

PAGE: Final = 50  #: rows
SCAN: Final = 20_000  #: events looked through for one page


class Asked(Struct, frozen=True, kw_only=True):
    """As typed; "" for any."""

    type: str = ""
    name: str = ""
    user: str = ""
    account: str = ""
    no_account: bool = False
    source: str = ""
    message: str = ""

    @property
    def anything(self) -> bool:
        return self != Asked()


class Rows(Struct, frozen=True):
    """
    rows       as milonga.facts.events has them, with `ends`: (destination, state, code) of each
    older      the parameter `before` that goes on from here; "" if there is nothing more
    looked_to  unix milliseconds, if the search was cut short there
    """

    rows: Sequence[dict[str, Any]]
    older: str = ""
    looked_to: int | None = None


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
    )


def look(visit: Visit, facts: Facts, wanted: Asked, limit: int = PAGE) -> Rows:
    """UserError if there never was such a source."""
    place = position_of(visit.text("before"))
    before: Offset = AFTER_ALL if place is None else place.offset
    sources = frozenset(facts.sources_called(wanted.source)) if wanted.source else None
    found = find(
        facts.log,
        Wanted(
            type=cast("EventType | None", wanted.type or None),
            name=wanted.name or None,
            user=wanted.user or None,
            account=wanted.account or None,
            no_account=wanted.no_account,
            sources=sources,
            message_id=wanted.message or None,
        ),
        limit + 1,
        SCAN,
        before,
    )
    events = found.events[:limit]
    more = len(found.events) > limit or found.until is not None
    last = events[-1].position if events else None
    older = f"{last.partition}-{last.offset}" if more and last is not None else ""
    return Rows(_rows(facts, events), older, found.until)


def _rows(facts: Facts, events: Sequence[Stored]) -> list[dict[str, Any]]:
    ends = ends_of(facts, events)
    return [
        {
            **as_row(facts, stored),
            "erased": stored.event.stamp.is_erased,
            "ends": [(place.called, state, code) for place, (state, code) in ends[stored.position]],
        }
        for stored in events
    ]
