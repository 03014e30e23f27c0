"""Parked keys: lines that do not move and wait on disk, the events behind them, and what to do with them."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from milonga.api import paging, shapes
from milonga.api.encoding import encoded
from milonga.api.problem import Problem
from milonga.api.reading import query_json
from milonga.api.resources.dead import moment_of
from milonga.api.route import MOST, USUAL, Asked, Count, Cursor, Listed, NoQuery, Route
from milonga.delivery.by_hand import RELEASE, RETRY, SKIP
from milonga.delivery.editing import NotValid
from milonga.delivery.parked_events import LineMark, parked_events
from milonga.delivery.parked_list import ParkedKey, count_keys, parked_key, parked_keys
from milonga.delivery.rows import key_text
from milonga.eventlog.api import Position
from milonga.facts import wishes
from milonga.facts.facts import Facts, Place
from milonga.facts.parked import Held, as_row, held, held_as_row
from milonga.facts.problems import parked
from milonga.spec.read import read_stamped
from milonga.spec.text import well_formed
from milonga.workspace.errors import NotThere
from milonga.workspace.roles import Role

MOST_KEYS: Final = 100_000  #: of one request that names none
Key = Annotated[list[str], Meta(min_length=1, max_length=10)]


class KeysQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one destination. account: keys that begin with it. key: this one alone, as JSON."""

    destination: str
    count: Count = USUAL
    cursor: Cursor = ""
    account: str | None = None
    key: str | None = None
    after: Annotated[str | None, Meta(description="A key as JSON; those behind it, instead of a cursor.")] = None


class ParkedEventsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Of one destination. account: behind keys that begin with it. key: behind this one alone, as JSON. events: each with
    its event, as an export has them. A page may hold few, or none, while there is more.
    """

    destination: str
    count: Count = USUAL
    cursor: Cursor = ""
    account: str | None = None
    key: str | None = None
    events: bool = False


class EditedParked(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """
    Of which parked event, and the event that is to go out in its place, as JSON or as its text. parked_at: as it was
    seen; if it was parked anew since, nothing is done.
    """

    destination: str
    partition: Annotated[int, Meta(ge=0, le=2**53)]
    offset: Annotated[int, Meta(ge=0, le=2**53)]
    event: dict[str, Any] | str
    parked_at: Annotated[str, Meta(max_length=50)] | None = None


class ParkedCountsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one destination, if it is named."""

    destination: str | None = None


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """first: what was first in it, so that nothing else is meant; as it is now, unless given."""

    key: Key
    first: shapes.Position | None = None


class Lines(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which are meant: these, or all of an account, or all."""

    destination: str
    lines: Annotated[list[Line], Meta(max_length=MOST)] = []
    account: str | None = None
    all: bool = False


class LinesToSkip(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which are meant: these, or all of an account, or all. whole: all events of each, not the first alone."""

    destination: str
    lines: Annotated[list[Line], Meta(max_length=MOST)] = []
    account: str | None = None
    all: bool = False
    whole: bool = False


def list_keys(asked: Asked[KeysQuery, None]) -> Listed:
    facts, query = asked.facts, asked.query
    number, reader = facts.workspace.destination(query.destination).id, facts.delivery
    if reader is None:
        return Listed([], more={"total": 0})
    if query.key is not None:
        one = parked_key(reader, number, _key(query.key))
        return Listed([] if one is None else [as_row(one)], more={"total": count_keys(reader, number)})
    after = paging.place(query.cursor, str) or query.after or ""
    found = parked_keys(reader, number, after=after, account=query.account, limit=query.count + 1)
    page = paging.page(found, query.count, lambda one: one.text, as_row)
    return Listed(page.rows, page.next, more={"total": count_keys(reader, number)})


def list_events(asked: Asked[ParkedEventsQuery, None]) -> Listed:
    """Line after line, each in its order; an event that stands in several is in one of them."""
    facts, query = asked.facts, asked.query
    place = Place(facts.workspace.destination(query.destination))
    key = None if query.key is None else _key(query.key)
    mark = paging.place(query.cursor, tuple[str, int])
    if facts.delivery is None:
        return Listed([], more={"total": 0})
    page = parked_events(
        facts.delivery,
        place.config.id,
        account=query.account,
        key=key,
        beyond=None if mark is None else LineMark(*mark),
        limit=query.count,
    )
    found, goes_on = held(facts, page), page.next
    if query.events and (most := paging.whole(one.event for one in found)) < len(found):
        found, goes_on = found[:most], found[most - 1].waiting.mark
    rows = [_event_row(place, one, events=query.events) for one in found]
    next_ = None if goes_on is None else paging.cursor(goes_on)
    return Listed(rows, next_, more={"total": facts.delivery.parked_count(place.config.id)})


def _event_row(place: Place, one: Held, *, events: bool) -> dict[str, Any]:
    row = held_as_row(place, one)
    return row | {"event": None if one.event is None else read_stamped(one.event).received} if events else row


def retry(asked: Asked[NoQuery, Lines]) -> dict[str, Any]:
    return _ask(asked, RETRY)


def release(asked: Asked[NoQuery, Lines]) -> dict[str, Any]:
    return _ask(asked, RELEASE)


def skip(asked: Asked[NoQuery, LinesToSkip]) -> dict[str, Any]:
    return _ask(asked, SKIP, whole=asked.body.whole)


def edit(asked: Asked[NoQuery, EditedParked]) -> dict[str, Any]:
    facts, body = asked.facts, asked.body
    place = Place(facts.workspace.destination(body.destination))
    text = body.event if isinstance(body.event, str) else encoded(body.event).decode()
    parked_at = None if body.parked_at is None else moment_of(body.parked_at, "$.parkedAt")
    position = Position(body.partition, body.offset)
    try:
        command = wishes.edit_parked(facts, place, position, text, parked_at=parked_at, by=asked.caller.name)
    except NotValid as error:
        raise Problem(422, "invalid_body", f"{error}. Nothing was changed.", field="$.event") from None
    return {"asked": 1, "commands": [command]}


def _key(text: str) -> tuple[str, ...]:
    return tuple(query_json(text, list[str], "key"))


def _ask(asked: Asked[NoQuery, Any], kind: str, *, whole: bool = False) -> dict[str, Any]:
    facts, by = asked.facts, asked.caller.name
    place = Place(facts.workspace.destination(asked.body.destination))
    commands, keys = [], 0
    lines = _lines(facts, place.config.id, asked.body)
    while page := list(islice(lines, wishes.LINES)):
        keys += len(page)
        first = [(one.text, one.first) for one in page]
        commands.append(wishes.parked(facts, kind, place, first, whole=whole, by=by))
    return {"asked": keys, "commands": commands}


def _lines(facts: Facts, number: int, body: Any) -> Iterator[ParkedKey]:
    """What is meant, page by page."""
    if bool(body.lines) + (body.account is not None) + body.all != 1:
        raise Problem(422, "invalid_body", "Name one of: lines, account, all.")
    reader, see = facts.delivery, f"See `milonga parked list {body.destination}`."
    for line in body.lines:
        found = None if reader is None else parked_key(reader, number, tuple(line.key))
        if found is None:
            raise NotThere(f"{well_formed(key_text(tuple(line.key)))} is not parked. {see}")
        first = found.first if line.first is None else Position(line.first.partition, line.first.offset)
        yield replace(found, first=first)
    if body.lines:
        return
    after, some = "", 0
    while reader is not None and some < MOST_KEYS:
        page = parked_keys(reader, number, after=after, account=body.account, limit=wishes.LINES)
        if not page:
            break
        yield from page
        after, some = page[-1].text, some + len(page)
    if not some:
        whose = "" if body.account is None else f" of account {well_formed(body.account)}"
        raise NotThere(f"No key{whose} is parked. {see}")


def count_parked(asked: Asked[ParkedCountsQuery, None]) -> list[dict[str, Any]]:
    facts, name = asked.facts, asked.query.destination
    number = None if name is None else facts.workspace.destination(name).id
    return [
        {
            "destination": facts.destination_name(one.destination),
            "keys": one.keys,
            "events": one.events,
            "byReason": [{"code": by.code, "reason": by.reason, "keys": by.keys} for by in one.by],
            "exact": one.exact,
        }
        for one in parked(facts, number)
    ]


ROUTES: Final = (
    Route(
        method="GET",
        path="/parked-keys",
        role=Role.viewer,
        name="listParkedKeys",
        summary="List parked keys of a destination, in the order of the keys, with what waits first behind each.",
        query=KeysQuery,
        answer=shapes.ParkedKey,
        listed=True,
        pagination=shapes.TotalPagination,
        handle=list_keys,
    ),
    Route(
        method="GET",
        path="/parked-keys/counts",
        role=Role.viewer,
        name="countParkedKeys",
        summary="How many keys are parked, by destination and the last failure of what waits first behind each.",
        query=ParkedCountsQuery,
        answer=list[shapes.ParkedCounts],
        handle=count_parked,
        slow=True,
    ),
    Route(
        method="GET",
        path="/parked-events",
        role=Role.viewer,
        name="listParkedEvents",
        summary="List the events that wait behind parked keys of a destination, line after line, each in its order.",
        query=ParkedEventsQuery,
        answer=shapes.ParkedEvent,
        listed=True,
        pagination=shapes.TotalPagination,
        handle=list_events,
        exports="parked",
        tag="parked-keys",
    ),
    Route(
        method="POST",
        path="/parked-keys/retry",
        role=Role.editor,
        name="retryParkedKeys",
        summary="Try the first event of each key now.",
        body=Lines,
        answer=shapes.AskedFor,
        status=202,
        handle=retry,
    ),
    Route(
        method="POST",
        path="/parked-keys/release",
        role=Role.editor,
        name="releaseParkedKeys",
        summary="Forget how often each key's events failed, and every wait.",
        body=Lines,
        answer=shapes.AskedFor,
        status=202,
        handle=release,
    ),
    Route(
        method="POST",
        path="/parked-keys/skip",
        role=Role.editor,
        name="skipParkedKeys",
        summary="Skip the first event of each key, or all of them: they are not sent any more.",
        body=LinesToSkip,
        answer=shapes.AskedFor,
        status=202,
        handle=skip,
    ),
    Route(
        method="POST",
        path="/parked-events/edit",
        role=Role.editor,
        name="editParkedEvent",
        summary="Send an edited event in place of a parked one, from its place in its lines.",
        body=EditedParked,
        answer=shapes.AskedFor,
        status=202,
        handle=edit,
        tag="parked-keys",
    ),
)
