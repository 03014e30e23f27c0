"""Counts: what arrived, and what became of it."""

from collections import Counter
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from milonga.api import paging, shapes
from milonga.api.problem import Problem
from milonga.api.route import USUAL, Asked, Count, Cursor, Listed, Route
from milonga.eventlog.counters import MINUTE
from milonga.facts.events import counts
from milonga.facts.when import HELP, moment
from milonga.outcomes.model import State
from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds
from milonga.workspace.roles import Role

Moment = Annotated[str, Meta(max_length=50, description=HELP)]
STEPS: Final = {"minute": 1, "hour": 60, "day": 24 * 60}
LONGEST: Final = {"minute": 2, "hour": 62, "day": 800}
"""Days that may be asked for at once, by step."""
DAY: Final = 24 * 60  #: minutes


class CountsQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """In UTC. The last hour unless told; `to` is not included."""

    from_: Moment = "1h"
    to: Moment = "now"
    step: Literal["minute", "hour", "day"] = "minute"
    count: Count = USUAL
    cursor: Cursor = ""


class BySourceQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All there ever was, unless told."""

    from_: Moment | None = None


def arrivals(asked: Asked[CountsQuery, None]) -> Listed:
    facts, (since, until, step) = asked.facts, _range(asked.query)
    tally: Counter[tuple[int, int, str]] = Counter()
    for one in facts.log.counts(since, until):
        tally[_begin(one.minute, step), one.source, one.name] += one.n

    def row(item: tuple[tuple[int, int, str], int]) -> dict[str, Any]:
        (minute, source, name), n = item
        what, _, code = name.partition(":")
        return {
            "at": instant(minute * MINUTE),
            "source": facts.source(source) if source else None,
            "what": what,
            "code": code,
            "n": n,
        }

    last = paging.place(asked.query.cursor, tuple[int, int, str])
    found = sorted((key, n) for key, n in tally.items() if last is None or key > last)
    return paging.page(found[: asked.query.count + 1], asked.query.count, lambda item: item[0], row)


def ended(asked: Asked[CountsQuery, None]) -> Listed:
    facts, (since, until, step) = asked.facts, _range(asked.query)
    tally: Counter[tuple[int, int, int, str]] = Counter()
    for minute, destination, state, code, n in facts.outcomes.minutes(since)[0]:
        if minute < until:
            tally[_begin(minute, step), destination, int(state), code] += n

    def row(item: tuple[tuple[int, int, int, str], int]) -> dict[str, Any]:
        (minute, destination, state, code), n = item
        return {
            "at": instant(minute * MINUTE),
            "destination": facts.destination_name(destination),
            "state": State(state).name,
            "code": code,
            "events": n,
        }

    last = paging.place(asked.query.cursor, tuple[int, int, int, str])
    found = sorted((key, n) for key, n in tally.items() if last is None or key > last)
    return paging.page(found[: asked.query.count + 1], asked.query.count, lambda item: item[0], row)


def by_source(asked: Asked[BySourceQuery, None]) -> list[dict[str, Any]]:
    since = 0 if asked.query.from_ is None else _moment(asked.query.from_, "from")
    return counts(asked.facts, since)


def _range(query: CountsQuery) -> tuple[int, int, int]:
    """Minutes: from, to (not included), in one step."""
    step = STEPS[query.step]
    since, until = _moment(query.from_, "from") // MINUTE, -(-_moment(query.to, "to") // MINUTE)
    if since >= until:
        raise Problem(422, "invalid_query", "from is not before to.", field="from")
    if until - since > LONGEST[query.step] * DAY + 1:
        raise Problem(
            422,
            "invalid_query",
            f"By {query.step} at most {LONGEST[query.step]} days at once. Take a larger step, or less time.",
            field="step",
        )
    return since, until, step


def _begin(minute: int, step: int) -> int:
    return minute - minute % step


def _moment(text: str, field: str) -> int:
    try:
        found = moment(text, milliseconds())
    except (ValueError, OverflowError) as error:
        raise Problem(422, "invalid_query", f"{field}: {error}", field=field) from None
    return max(0, found)


ROUTES: Final = (
    Route(
        method="GET",
        path="/counts/arrivals",
        role=Role.viewer,
        name="countArrivals",
        summary="What arrived, by source and minute, hour or day.",
        query=CountsQuery,
        answer=shapes.Arrivals,
        listed=True,
        handle=arrivals,
    ),
    Route(
        method="GET",
        path="/counts/outcomes",
        role=Role.viewer,
        name="countOutcomes",
        summary="What became of events, by destination and minute, hour or day.",
        query=CountsQuery,
        answer=shapes.Outcomes,
        listed=True,
        handle=ended,
        slow=True,
    ),
    Route(
        method="GET",
        path="/counts/sources",
        role=Role.viewer,
        name="countSources",
        summary="How many events each source sent: accepted, duplicates, discarded; and its refused requests.",
        query=BySourceQuery,
        answer=list[shapes.ArrivalCounts],
        handle=by_source,
    ),
)
