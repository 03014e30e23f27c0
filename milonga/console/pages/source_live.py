"""The debugger: events of a source as they arrive, and what of one of them was received."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import islice
from typing import Any, Final, cast, get_args

import anyio.to_thread
import msgspec
from starlette.responses import Response

from milonga.console.events import event
from milonga.console.live import LONGEST_SEARCH, Where, Wish, row_of
from milonga.console.live_rows import shown
from milonga.console.pages._source import frame, name_of
from milonga.console.table import shows, streams
from milonga.console.tail import Crowded
from milonga.console.visit import Visit, address
from milonga.eventlog.api import START, Damaged, Position, Stored
from milonga.facts.facts import Facts
from milonga.facts.search import Wanted, candidates
from milonga.outcomes.explain import name_of as name_of_event
from milonga.spec.event import Event, EventType
from milonga.spec.read import read_stamped
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.model import Source

ROWS: Final = 50  #: shown at first
SCAN: Final = 2_000  #: of the newest events, looked through for them
TYPES: Final = get_args(EventType)
PLACES: Final = (
    ("", "Anywhere"),
    ("name", "Event name"),
    ("user", "User"),
    ("account", "Account"),
    ("message_id", "Message id"),
)


def wish_of(visit: Visit, source: Source) -> Wish:
    type_, where = visit.text("type"), visit.text("in")
    return Wish(
        source=source.id,
        type=cast("EventType", type_) if type_ in TYPES else None,
        text=visit.text("q", LONGEST_SEARCH).strip(),
        where=cast("Where", where) if where in dict(PLACES) else "",
    )


def page(visit: Visit) -> Response:
    with visit.facts() as facts:
        source = facts.workspace.sources.named(name_of(visit))
        wish = wish_of(visit, source)
        newest = list(islice(candidates(facts.log, Wanted()), SCAN))
    found = list(islice((row for row in map(row_of, newest) if wish.fits(row)), ROWS))
    values: dict[str, Any] = {
        "wish": wish,
        "types": TYPES,
        "places": PLACES,
        "rows": [shown(row) for row in found],
        "looked": len(newest),
        "after": newest[0].position.offset if newest else START,
    }
    return visit.page("sources/live.html", frame(source, "/live") | values)


async def stream(visit: Visit) -> AsyncIterator[str | bytes]:
    """Server-sent events, see milonga.console.tail. `after`, or what the browser was told last: seen up to there."""
    source = await anyio.to_thread.run_sync(_source, visit)
    if source is None:
        yield event("", "gone")
        return
    try:
        async with aclosing(visit.services.tail.frames(wish_of(visit, source), _after(visit))) as frames:
            async for part in frames:
                yield visit.shown(part)
    except Crowded:
        yield event("", "crowded")


def _after(visit: Visit) -> int | None:
    told = visit.request.headers.get("last-event-id", "")[:40].rpartition("-")[2]
    text = told if told.isascii() and told.isdigit() else visit.text("after", 20)
    return min(int(text), 2**62) if text.isascii() and text.isdigit() else None


def _source(visit: Visit) -> Source | None:
    try:
        with visit.workspace() as workspace:
            return workspace.sources.named(name_of(visit))
    except UserError:
        return None


def one(visit: Visit) -> Response:
    """One event beside the rows; without them, its own page."""
    if not visit.fragment:
        return visit.go(address("/events/{}", [visit.path["place"]]))
    with visit.facts() as facts:
        source = facts.workspace.sources.named(name_of(visit))
        stored = _stored(facts, visit.path["place"], source)
    read = read_stamped(stored.event)
    return visit.page("sources/live-event.html", {"event": _told(stored, read), "received": _json(stored)})


def _stored(facts: Facts, place: str, source: Source) -> Stored:
    partition, _, offset = place.partition("-")
    found: Stored | Damaged | None = None
    if partition == "0" and offset.isascii() and offset.isdigit() and len(offset) < 19:
        found = facts.log.at(Position(0, int(offset)))
    if not isinstance(found, Stored) or found.event.stamp.source != source.id:
        raise NotThere("This event is not kept, or not any more.")
    return found


def _told(stored: Stored, read: Event) -> dict[str, Any]:
    stamp = stored.event.stamp
    return {
        "place": f"{stored.position.partition}-{stored.position.offset}",
        "type": stamp.type,
        "name": name_of_event(read),
        "user": stamp.user_id,
        "anonymous": stamp.anonymous_id,
        "account": stamp.account,
        "accountFound": stamp.account_found,
        "messageId": stamp.message_id,
        "ownMessageId": stamp.own_message_id,
        "receivedAt": stamp.received_at,
        "timestamp": stamp.timestamp,
        "properties": _lines(read.received.get("properties")),
        "traits": _lines(read.received.get("traits")),
        "context": _lines(read.context),
        "erased": stamp.is_erased,
    }


MOST_LINES: Final = 100  #: of one object, in the view for people
LONGEST: Final = 500  #: characters of a value there


def _lines(value: object) -> list[tuple[str, str]]:
    """(name, value) of an object, those within as JSON. What is cut here is whole in the raw view."""
    if not isinstance(value, dict):
        return []
    found = []
    for name, one in islice(value.items(), MOST_LINES):
        text = one if isinstance(one, str) else _encoded(one)
        found.append((name[:200], text if len(text) <= LONGEST else f"{text[:LONGEST]}…"))
    return found


def _encoded(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, UnicodeEncodeError, ValueError, RecursionError):
        return repr(value)


def _json(stored: Stored) -> str:
    """As it was kept, indented if that can be."""
    try:
        return msgspec.json.format(stored.event.body, indent=2).decode(errors="replace")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return stored.event.body.decode(errors="replace")


PAGES = [
    shows("/sources/{name}/live", page),
    shows("/sources/{name}/live/{place}", one),
    streams("/sources/{name}/stream", stream),
]
