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
from milonga.facts.alike import alike, perhaps
from milonga.facts.explain import at as event_at
from milonga.facts.explain import by_message_id, why_not_kept
from milonga.facts.facts import Place
from milonga.facts.filed import find_all, under_row
from milonga.facts.indexed import index_of
from milonga.facts.search import SCAN, Wanted
from milonga.facts.summary import ends_of, summary, why_nothing, why_silent
from milonga.index.index import EventIndex, made_here
from milonga.outcomes.words import instant
from milonga.spec.event import EventType
from milonga.workspace.commands import milliseconds
from milonga.workspace.roles import Role

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=32 * 1024)]

NOBODY: Final = "Name one of: messageId, user, account."


class EventsQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    All that is named must fit, exactly. account: also what names none and a replay filed under it, with `filed`. name:
    of a track, page or screen call, of a page also its category and what Totango calls it. module: Totango's. outcomes:
    each with what became of it at its destinations. A page may hold few, or none, while there is more: `looked` says
    how many events were passed by, `last` the offset of the last one, `until` back to when, if it was cut short.
    Whatever is newer than that and fits was found.
    """

    count: Count = USUAL
    cursor: Cursor = ""
    type: EventType | None = None
    name: str | None = None
    module: str | None = None
    user: Id | None = None
    account: Id | None = None
    no_account: bool = False
    source: str | None = None
    message_id: Id | None = None
    outcomes: bool = False
    scan: Annotated[
        int, Meta(ge=1, le=SCAN, description="Events of the log that one page looks through where no index has them.")
    ] = 20_000


class StoriesQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Of one event, or of those of a user or an account, newest first. A page may hold few while there is more."""

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
    """Of one source and of one code, if they are named."""

    count: Annotated[int, Meta(ge=1, le=10_000, description="So many at most.")] = USUAL
    cursor: Cursor = ""
    source: str | None = None
    code: str | None = None


def list_events(asked: Asked[EventsQuery, None]) -> Listed:
    facts, query = asked.facts, asked.query
    if query.no_account and query.account is not None:
        raise Problem(422, "invalid_query", "account and noAccount exclude each other.", field="noAccount")
    wanted = Wanted(
        type=query.type,
        name=query.name,
        module=query.module,
        user=query.user,
        account=query.account,
        no_account=query.no_account,
        sources=None if query.source is None else frozenset(facts.sources_called(query.source)),
        message_id=query.message_id,
    )
    found = find_all(facts, wanted, query.count, query.scan, _before(query.cursor), _index(asked))
    more = {
        "looked": found.looked,
        "until": None if found.until is None else instant(found.until),
        "last": found.before,
    }
    next_ = None if found.before is None else paging.cursor(Position(0, found.before))
    shown = [rows.as_row(facts, stored) for stored in found.events]
    if query.account is not None:
        under = [found.filed.get(stored.position) for stored in found.events]
        shown = [row | under_row(query.account, of) if of else row for row, of in zip(shown, under, strict=True)]
    if query.outcomes:
        ends = ends_of(facts, found.events)
        shown = [
            row | {"outcomes": [_end(place, state, code) for place, (state, code) in ends[stored.position]]}
            for row, stored in zip(shown, found.events, strict=True)
        ]
    return Listed(shown, next_, more=more)


def _end(place: Place, state: str, code: str) -> dict[str, str]:
    return {"destination": place.called, "state": state, "code": code}


def _index(asked: Asked[Any, None]) -> EventIndex | None:
    """Only if it is made in this process does it know what it lacks."""
    return made_here(asked.reading.path)


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
    wanted = Wanted(user=query.user, account=query.account)
    page = find_all(facts, wanted, query.count + 1, SCAN, _before(query.cursor), _index(asked))
    shown, goes_on = page.events[: query.count], page.before
    shown = shown[: paging.whole(stored.event for stored in shown)]
    if len(page.events) > len(shown):
        goes_on = shown[-1].position.offset
    next_ = None if goes_on is None else paging.cursor(Position(0, goes_on))
    until = None if page.until is None else instant(page.until)
    return Listed([facts.tell(stored) for stored in shown], next_, more={"until": until})


def summarise(asked: Asked[SummaryQuery, None]) -> Told:
    facts, query = asked.facts, asked.query
    if (query.user is None) == (query.account is None):
        raise Problem(422, "invalid_query", "Name one of: user, account.")
    wanted = Wanted(user=query.user, account=query.account)
    found = summary(facts, wanted, _index(asked))
    newest = found.newest
    notes = list(why_nothing(facts, wanted) if newest is None else why_silent(facts, newest, milliseconds()))
    if newest is None and wanted.account is not None:
        with index_of(asked.reading.path) as index:
            notes.append(perhaps(alike(index, wanted.account)))
    return Told(found.told, [note for note in notes if note])


def discards(asked: Asked[DiscardsQuery, None]) -> Listed:
    query = asked.query
    source = None if query.source is None else asked.workspace.sources.named(query.source).id
    before = paging.place(query.cursor, int)
    found, next_ = rows.newest_discarded(
        asked.facts, query.count, source=source, code=query.code, before=AFTER_ALL if before is None else before
    )
    return Listed(found, None if next_ is None else paging.cursor(next_))


def count_discards(asked: Asked[NoQuery, None]) -> Told:
    refused = rows.refused(asked.facts)
    notes = [f"Requests refused as a whole: {refused:,}. See `milonga events counts`."] if refused else []
    return Told(rows.discarded(asked.facts), notes)


def _before(cursor: str) -> int:
    found = paging.place(cursor, Position)
    if found is None:
        return AFTER_ALL
    if found.partition != 0 or not 0 <= found.offset <= AFTER_ALL:
        raise paging.bad()
    return found.offset


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
        pagination=shapes.SearchPagination,
        handle=list_events,
        exports="events",
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
        exports="events",
    ),
    Route(
        method="GET",
        path="/events/{position}/story",
        role=Role.viewer,
        name="getStory",
        summary="What became of one event, by PARTITION-OFFSET, at each destination.",
        answer=shapes.Story,
        handle=story,
        exports="events",
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
        exports="events",
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
        pagination=shapes.StoriesPagination,
        handle=stories,
        exports="events",
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
        exports="discarded",
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
