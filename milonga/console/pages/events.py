"""What arrived: the search, and the whole story of one event."""

from typing import Any, Final

from starlette.responses import Response

from milonga.console.destinations import home
from milonga.console.links import position_of, to_account, to_event, to_fix
from milonga.console.rendering import pretty
from milonga.console.searching import PAGE, Asked, Rows, asked, look
from milonga.console.table import shows
from milonga.console.visit import Visit
from milonga.eventlog.api import Damaged, Position, Stored
from milonga.facts import explain
from milonga.facts.alike import alike
from milonga.facts.curl import curl
from milonga.facts.facts import Facts
from milonga.outcomes.words import instant
from milonga.spec.read import EVENT_TYPES
from milonga.workspace.errors import UserError

UNFINISHED: Final = frozenset({"waiting", "retrying"})
FOUND: Final = {
    "groupId": "A group call names its account itself, in groupId.",
    "context.groupId": "The call says it in its context, context.groupId.",
}
"""How the account was found, in words."""


def search(visit: Visit) -> Response:
    wanted, trouble, found = asked(visit), "", Rows(())
    with visit.facts() as facts:
        try:
            found = look(visit, facts, wanted)
        except UserError as error:
            trouble = str(error)
        values = _about(facts, wanted, found) | {"trouble": trouble}
    nothing = wanted.account and not found.rows and not trouble
    values["alike"] = alike(visit.services.index, wanted.account) if nothing else []
    return visit.page("events/search.html", values)


def _about(facts: Facts, wanted: Asked, found: Rows) -> dict[str, Any]:
    return {
        "wanted": wanted,
        "found": found,
        "types": [("", "Any"), *((one, one) for one in sorted(EVENT_TYPES))],
        "sources": [("", "Any"), *((one.name, one.name) for one in facts.workspace.sources.all())],
        "since": facts.log.since(),
        "size": PAGE,
        "to_event": to_event,
    }


def event(visit: Visit) -> Response:
    position = position_of(visit.path["place"])
    if position is None:
        return visit.page("nothing.html", status=404)
    with visit.facts() as facts:
        found = explain.at(facts, position)
        if not isinstance(found, Stored):
            return _gone(visit, facts, position, found)
        story = facts.tell(found)
        places = {place.config.id: place for place in facts.places}
        values = {
            "story": story,
            "is_raw": visit.text("view") == "raw",
            "raw": found.event.body.decode(errors="replace"),
            "pretty": pretty(found.event.body),
            "sender": found.event.stamp.ip,
            "found_how": FOUND.get(story["account"]["found"], "") if story["account"] else "",
            "newer": _beside(facts, position, 1),
            "older": _beside(facts, position, -1),
            "unfinished": any(at["state"] in UNFINISHED for at in story["destinations"]),
            "fixes": {
                at["id"]: to_fix(at.get("fixAt"), places[at["id"]].config, story["source"], position)
                for at in story["destinations"]
            },
            "homes": {
                number: home(place.config, removed=place.removed_at is not None) for number, place in places.items()
            },
            "curl": curl,
            "to_event": to_event,
            "to_account": to_account,
            "place": visit.path["place"],
        }
    return visit.page("events/standing.html" if visit.fragment else "events/event.html", values)


def _beside(facts: Facts, position: Position, step: int) -> str:
    """The address of the event before or after it in the log; "" if there is none."""
    place = Position(position.partition, position.offset + step)
    return to_event(*place) if place.offset > 0 and facts.log.at(place) is not None else ""


def _gone(visit: Visit, facts: Facts, position: Position, found: Damaged | None) -> Response:
    since = facts.log.since()
    values = {
        "position": position,
        "damage": "" if found is None else found.reason,
        "since": None if since is None else instant(since),
    }
    return visit.page("events/gone.html", values, status=404)


PAGES = [shows("/events", search), shows("/events/{place}", event)]
