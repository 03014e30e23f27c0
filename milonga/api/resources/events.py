"""Events as they are kept, their stories, and what was not accepted."""

from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct

from milonga.api import paging, shapes
from milonga.api.problem import Problem, not_found
from milonga.api.resources.commands import number_of
from milonga.api.route import MOST, USUAL, Asked, Count, Cursor, Listed, NoQuery, Route, Told
from milonga.eventlog.api import Position, Stored
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts import events as rows
from milonga.facts.explain import at as event_at
from milonga.facts.explain import by_message_id, why_not_kept
from milonga.facts.facts import Facts
from milonga.facts.search import SCAN, Wanted, find
from milonga.facts.summary import summary, why_nothing, why_silent
from milonga.outcomes.words import instant
from milonga.spec.event import EventType
from milonga.workspace.commands import milliseconds
from milonga.workspace.roles import Role

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=32 * 1024)]

NOBODY: Final = "Name one of: messageId, user, account."


class EventsQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    All that is named must fit, ids and names exactly. A page may hold few, or none, while there is more: `looked` says
    how many events were looked at, `last` the offset of the last one, `until` back to when, if it was cut short.
    """

    count: Count = USUAL
    cursor: Cursor = ""
    type: EventType | None = None
    name: str | None = None
    user: Id | None = None
    account: Id | None = None
    no_account: bool = False
    source: str | None = None
    message_id: Id | None = None
    scan: Annotated[int, Meta(ge=1, le=SCAN, description="Events that one page looks through, at most.")] = 20_000


class StoriesQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Of one event, or of those of a user or an account, newest first."""

    count: Annotated[int, Meta(ge=1, le=MOST, description="So many at most.")] = 20
    cursor: Cursor = ""
    message_id: Id | None = None
    user: Id | None = None
    account: Id | None = None


class SummaryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one of them."""

    user: Id | None = None
    account: Id | None = None


class DiscardsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest so many."""

    count: Annotated[int, Meta(ge=1, le=10_000, description="So many at most.")] = USUAL


def list_events(asked: Asked[EventsQuery, None]) -> Listed:
    facts, query = asked.facts, asked.query
    if query.no_account and query.account is not None:
        raise Problem(422, "invalid_query", "account and noAccount exclude each other.", field="noAccount")
    wanted = Wanted(
        type=query.type,
        name=query.name,
        user=query.user,
        account=query.account,
        no_account=query.no_account,
        sources=None if query.source is None else frozenset(facts.sources_called(query.source)),
        message_id=query.message_id,
    )
    found = find(facts.log, wanted, query.count, query.scan, _before(query.cursor))
    more = {
        "looked": found.looked,
        "until": None if found.until is None else instant(found.until),
        "last": None if found.last is None else found.last.position.offset,
    }
    next_ = None if found.last is None else paging.cursor(_place(found.last))
    return Listed([rows.as_row(facts, stored) for stored in found.events], next_, more=more)


def show(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    return rows.as_received(asked.facts, _at(asked))


def story(asked: Asked[NoQuery, None]) -> Any:
    return asked.facts.tell(_at(asked))


def list_received(asked: Asked[StoriesQuery, None]) -> Listed:
    facts, query = asked.facts, asked.query
    if query.message_id is None or query.user is not None or query.account is not None:
        raise Problem(422, "invalid_query", "Name a messageId, and nothing else.", field="messageId")
    found = facts.log.by_message_id(query.message_id)
    return Listed([rows.as_received(facts, stored) for stored in found])


def stories(asked: Asked[StoriesQuery, None]) -> Listed:
    facts, query = asked.facts, asked.query
    if [query.message_id, query.user, query.account].count(None) != 2:
        raise Problem(422, "invalid_query", NOBODY)
    if query.message_id is not None:
        found = by_message_id(facts, query.message_id)
        notes = [] if found else why_not_kept(facts, query.message_id)
        return Listed([facts.tell(stored) for stored in found], notes=notes)
    before, log = _before(query.cursor), facts.log
    if query.account is not None:
        found = log.by_account(query.account, query.count + 1, before)
    else:
        found = log.by_user(query.user or "", query.count + 1, before)
    return paging.page(found, query.count, _place, facts.tell)


def summarise(asked: Asked[SummaryQuery, None]) -> Told:
    facts, query = asked.facts, asked.query
    if (query.user is None) == (query.account is None):
        raise Problem(422, "invalid_query", "Name one of: user, account.")
    wanted = Wanted(user=query.user, account=query.account)
    found = summary(facts, wanted)
    newest = _newest(facts, wanted)
    notes = why_nothing(facts, wanted) if newest is None else why_silent(facts, newest, milliseconds())
    return Told(found, list(notes))


def discards(asked: Asked[DiscardsQuery, None]) -> Listed:
    return Listed(rows.newest_discarded(asked.facts, asked.query.count))


def count_discards(asked: Asked[NoQuery, None]) -> Told:
    refused = rows.refused(asked.facts)
    notes = [f"Requests refused as a whole: {refused:,}. See `milonga events counts`."] if refused else []
    return Told(rows.discarded(asked.facts), notes)


def _newest(facts: Facts, wanted: Wanted) -> Stored | None:
    if wanted.account is not None:
        found = facts.log.by_account(wanted.account, 1)
    else:
        found = facts.log.by_user(wanted.user or "", 1)
    return found[0] if found else None


def _place(stored: Stored) -> tuple[int, int, int]:
    """When it arrived, and where it lies: pages go by these."""
    return (stored.event.stamp.received_at, *stored.position)


def _before(cursor: str) -> int:
    found = paging.place(cursor, tuple[int, int, int])
    if found is None:
        return AFTER_ALL
    if not 0 <= found[2] <= AFTER_ALL:
        raise paging.bad()
    return found[2]


def _at(asked: Asked[Any, Any]) -> Stored:
    """By PARTITION-OFFSET."""
    partition, _, offset = asked.names["position"].partition("-")
    position = Position(number_of(partition, "event"), number_of(offset, "event"))
    found = event_at(asked.facts, position)
    if not isinstance(found, Stored):
        gone = "is not kept, or not any more" if found is None else "cannot be read: see `milonga check`"
        raise not_found(f"The event {position.partition}-{position.offset} {gone}.")
    return found


ROUTES: Final = (
    Route(
        method="GET",
        path="/events",
        role=Role.viewer,
        name="listEvents",
        summary="Find events, newest first.",
        query=EventsQuery,
        answer=shapes.Event,
        listed=True,
        handle=list_events,
        slow=True,
    ),
    Route(
        method="GET",
        path="/events/{position}",
        role=Role.viewer,
        name="getEvent",
        summary="One event as it arrived, by PARTITION-OFFSET.",
        answer=shapes.ReceivedEvent,
        handle=show,
    ),
    Route(
        method="GET",
        path="/events/{position}/story",
        role=Role.viewer,
        name="getStory",
        summary="What became of one event, by PARTITION-OFFSET, at each destination.",
        answer=shapes.Story,
        handle=story,
    ),
    Route(
        method="GET",
        path="/received",
        role=Role.viewer,
        name="listReceived",
        summary="Events with one message id as they arrived.",
        query=StoriesQuery,
        answer=shapes.ReceivedEvent,
        listed=True,
        handle=list_received,
        tag="events",
    ),
    Route(
        method="GET",
        path="/stories",
        role=Role.viewer,
        name="listStories",
        summary="What became of events at each destination, by message id, user or account.",
        query=StoriesQuery,
        answer=shapes.Story,
        listed=True,
        handle=stories,
        tag="events",
        slow=True,
    ),
    Route(
        method="GET",
        path="/summary",
        role=Role.viewer,
        name="getSummary",
        summary="What is kept of an account or a user, all in all.",
        query=SummaryQuery,
        answer=shapes.Summary,
        handle=summarise,
        tag="events",
        slow=True,
    ),
    Route(
        method="GET",
        path="/discards",
        role=Role.viewer,
        name="listDiscards",
        summary="Samples of what was not accepted, newest first.",
        query=DiscardsQuery,
        answer=shapes.Discard,
        listed=True,
        handle=discards,
    ),
    Route(
        method="GET",
        path="/discards/counts",
        role=Role.viewer,
        name="countDiscards",
        summary="How many events were not accepted, by source and code, as far back as counts go.",
        answer=list[shapes.DiscardCount],
        handle=count_discards,
    ),
)
