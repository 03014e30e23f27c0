"""Counts over time: what arrived, how far it got, how it was delivered. Names of resources: Segment's Public API."""

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct
from msgspec.structs import replace

from milonga.api import paging, shapes
from milonga.api.problem import Problem
from milonga.api.route import USUAL, Asked, Count, Cursor, Listed, Route, Told
from milonga.eventlog.counters import MINUTE
from milonga.facts.destinations import place_called
from milonga.facts.facts import Facts
from milonga.facts.metered import (
    ENDS,
    STEPS,
    Between,
    Key,
    Step,
    backlog,
    backlog_since,
    counted,
    dataset,
    delivery,
    volume,
)
from milonga.facts.when import HELP, moment
from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds
from milonga.workspace.roles import Role

Granularity: TypeAlias = Literal["minute", "hour", "day"]

LENGTHS: Final[dict[Granularity, int]] = {"minute": 1, "hour": 60, "day": 24 * 60}
LONGEST: Final[dict[Granularity, int]] = {"minute": 2, "hour": 62}
"""Days that may be asked for at once."""
DAY: Final = 24 * 60  #: minutes
NOT_HELD: Final = "Counts are kept by minute, source, destination and code, and know nothing else of events."

Moment: TypeAlias = Annotated[str, Meta(max_length=50, description=HELP)]
Periods: TypeAlias = Annotated[
    Granularity | None,
    Meta(description="Of the periods, in UTC: at most 2 days by minute, 62 by hour. The finest there is unless told."),
]
Group: TypeAlias = Annotated[
    tuple[str, ...], Meta(description="What is told apart: source, destination, discardReason; may come several times.")
]


class VolumeQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The last hour unless told, in whole periods. Of one source, if it is named."""

    start_time: Moment = "1h"
    end_time: Moment = "now"
    granularity: Periods = None
    source: str | None = None


class ArrivedQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The last hour unless told, in whole periods. Of one source, if it is named."""

    start_time: Moment = "1h"
    end_time: Moment = "now"
    granularity: Periods = None
    group_by: Group = ()
    source: str | None = None
    count: Count = USUAL
    cursor: Cursor = ""


class EndedQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    The last hour unless told, in whole periods. Of one source, of one destination (its name; of a removed one its id),
    if they are named.
    """

    start_time: Moment = "1h"
    end_time: Moment = "now"
    granularity: Periods = None
    group_by: Group = ()
    source: str | None = None
    destination: str | None = None
    count: Count = USUAL
    cursor: Cursor = ""


class DeliveryQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The last hour unless told, in whole periods."""

    start_time: Moment = "1h"
    end_time: Moment = "now"
    granularity: Periods = None


AnyQuery: TypeAlias = VolumeQuery | ArrivedQuery | EndedQuery | DeliveryQuery


def show_volume(asked: Asked[VolumeQuery, None]) -> list[dict[str, Any]]:
    between, _ = _between(asked.query)
    return volume(asked.facts, between, _sources(asked.facts, asked.query.source))


def got_to(step: Step, asked: Asked[Any, None]) -> Listed:
    """Each that is told apart, by source, destination and code."""
    facts, query = asked.facts, asked.query
    between, granularity = _between(query)
    destinations = None
    if isinstance(query, EndedQuery) and query.destination is not None:
        destinations = {place_called(facts, query.destination).config.id}
    by = _by(query.group_by, step)
    found = counted(facts, step, between, by, sources=_sources(facts, query.source), destinations=destinations)
    last = paging.place(query.cursor, tuple[int, int, str])
    rows = sorted((key, periods) for key, periods in found.items() if last is None or key > last)

    def place(row: tuple[Key, Any]) -> Key:
        return row[0]

    page = paging.page(rows[: query.count + 1], query.count, place, lambda row: dataset(facts, between, *row))
    return Listed(page.rows, page.next, more=_time(between, granularity))


def show_delivery(asked: Asked[DeliveryQuery, None]) -> dict[str, Any]:
    facts = asked.facts
    place = place_called(facts, asked.names["destination"])
    between, granularity = _between(asked.query)
    there = place.removed_at is None and facts.delivery is not None
    health = facts.health(place.config.id) if there else None
    return {
        "destination": place.called,
        "source": facts.source(place.config.source),
        **_time(between, granularity),
        "waiting": None if health is None else health.waiting,
        "retrying": facts.delivery.retrying_count(place.config.id) if there and facts.delivery else 0,
        "parked": facts.delivery.parked_count(place.config.id) if there and facts.delivery else 0,
        **delivery(facts, place, between),
    }


def show_backlog(asked: Asked[DeliveryQuery, None]) -> Told:
    facts, query, now = asked.facts, asked.query, milliseconds()
    place = place_called(facts, asked.names["destination"])
    between, granularity = _between(query)
    if query.granularity is None and granularity == "minute" and between.since < backlog_since(between.length, now):
        between, granularity = _between(replace(query, granularity="hour"))
    since, notes = backlog_since(between.length, now), list[str]()
    if between.since < since:
        notes.append(
            f"What waited is kept by minute for 25 hours, by hour and day for 15 days: nothing is known before"
            f" {instant(since * MINUTE)}."
        )
    found = {
        "destination": place.called,
        "source": facts.source(place.config.source),
        **_time(between, granularity),
        **backlog(facts, place, between),
    }
    return Told(found, notes)


def _between(query: AnyQuery) -> tuple[Between, Granularity]:
    since = _moment(query.start_time, "startTime") // MINUTE
    until = -(-_moment(query.end_time, "endTime") // MINUTE)
    if since >= until:
        raise Problem(422, "invalid_query", "startTime is not before endTime.", field="startTime")
    fitting = [name for name in LENGTHS if until - since <= LONGEST.get(name, 2**62) * DAY + 1]
    granularity = query.granularity or fitting[0]
    if granularity not in fitting:
        raise Problem(
            422,
            "invalid_query",
            f"By {granularity} at most {LONGEST[granularity]} days at once. Take larger periods, or less time.",
            field="granularity",
        )
    return Between.around(since, until, LENGTHS[granularity]), granularity


def _time(between: Between, granularity: Granularity) -> dict[str, str]:
    return {
        "startTime": instant(between.since * MINUTE),
        "endTime": instant(between.until * MINUTE),
        "granularity": granularity,
    }


def _moment(text: str, field: str) -> int:
    try:
        found = moment(text, milliseconds())
    except (ValueError, OverflowError) as error:
        raise Problem(422, "invalid_query", f"{field}: {error}", field=field) from None
    return max(0, found)


def _sources(facts: Facts, name: str | None) -> set[int] | None:
    return None if name is None else facts.sources_called(name)


def _by(given: tuple[str, ...], step: Step) -> set[Any]:
    known = {"source", "discardReason", *(("destination",) if step in ENDS else ())}
    wrong = sorted(set(given) - known)
    if wrong:
        said = f"groupBy: {wrong[0][:50]!r} is none of {', '.join(sorted(known))}. {NOT_HELD}"
        raise Problem(422, "invalid_query", said, field="groupBy")
    return set(given)


SUMMARIES: Final[dict[Step, str]] = {
    "successfully-received": "Events that were accepted, over time.",
    "failed-on-ingest": "Events that were not as they should be, over time; groupBy=discardReason tells why.",
    "filtered-at-source": "Events that a rule of their source, or a regulation, kept back, over time.",
    "filtered-at-destination": "Events that were skipped, over time; groupBy=discardReason tells why.",
    "failed-delivery": "Events that were refused for good, or expired, over time.",
    "successful-delivery": "Events that were delivered, over time.",
}


def _named(step: Step) -> str:
    """`listFailedOnIngest`"""
    return "list" + "".join(word.capitalize() for word in step.split("-"))


def _route(step: Step) -> Route:
    return Route(
        method="GET",
        path=f"/delivery-overview/{step}",
        role=Role.viewer,
        name=_named(step),
        summary=SUMMARIES[step],
        query=EndedQuery if step in ENDS else ArrivedQuery,
        answer=shapes.Dataset,
        listed=True,
        pagination=shapes.PeriodPagination,
        handle=lambda asked: got_to(step, asked),
        slow=True,
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/events/volume",
        role=Role.viewer,
        name="getEventsVolume",
        summary="What each source sent over time: accepted, duplicates, discarded; and its refused requests.",
        query=VolumeQuery,
        answer=list[shapes.Volume],
        handle=show_volume,
        slow=True,
    ),
    *map(_route, STEPS),
    Route(
        method="GET",
        path="/destinations/{destination}/delivery-metrics",
        role=Role.viewer,
        name="getDeliveryMetrics",
        summary="How a destination was delivered to over time: how many, what not and why, how quickly.",
        query=DeliveryQuery,
        answer=shapes.DeliveryMetrics,
        handle=show_delivery,
        slow=True,
    ),
    Route(
        method="GET",
        path="/destinations/{destination}/backlog",
        role=Role.viewer,
        name="getBacklog",
        summary="How many events waited for a destination over time, and how old the oldest of them was.",
        query=DeliveryQuery,
        answer=shapes.Backlog,
        handle=show_backlog,
    ),
)
