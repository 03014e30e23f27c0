"""An event that is parked: what keeps it, what it says, edited or skipped."""

from typing import Any, Final

from starlette.responses import Response

from milonga.console.asked import wait
from milonga.console.lines import DELIVERY
from milonga.console.links import to_parked
from milonga.console.pages.dead_letters import LONGEST, becomes, place_of, sentence
from milonga.console.pages.problems import frame, is_number
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.delivery.editing import NotValid, pretty
from milonga.delivery.rows import Progress
from milonga.eventlog.api import Position
from milonga.facts import wishes
from milonga.facts.facts import Facts, Place
from milonga.facts.stopped import waits_there
from milonga.outcomes.words import instant
from milonga.spec.called import name_in
from milonga.spec.read import said_for_all
from milonga.workspace.errors import NotThere, UserError

NOTHING: Final = Progress()
SENT: Final = "What is sent"


def _at(facts: Facts, text: str) -> tuple[Place, Position]:
    """`destination-partition-offset`. UserError if it is none."""
    parts = text.split("-")
    if len(parts) != 3 or not all(is_number(part) for part in parts):
        raise NotThere("There is no such event.")
    number, partition, offset = map(int, parts)
    return place_of(facts, number), Position(partition, offset)


def page(visit: Visit) -> Response:
    with visit.facts() as facts:
        return _page(visit, facts, *_at(facts, visit.path["id"]))


def _page(visit: Visit, facts: Facts, place: Place, position: Position, *, text: str = "", wrong: str = "") -> Response:
    parked, event = wishes.parked_event(facts, place, position)
    number = place.config.id
    progress, edited = NOTHING, None
    if facts.delivery is not None:
        progress = facts.delivery.progress(number, position) or NOTHING
        edited = facts.delivery.edited.of(number, position)
    tries = facts.outcomes.attempts(position, number)
    values: dict[str, Any] = {
        **frame(facts, place, "/parked"),
        "to": to_parked(number, position),
        "position": position,
        "stamp": event.stamp,
        "name": name_in(event),
        "received_at": parked.received_at,
        "parked_at": parked.parked_at,
        "keys": parked.keys,
        "progress": progress,
        "next_at": instant(progress.due_at) if progress.due_at else None,
        "answer": tries[-1].said if tries else "",
        "text": text or pretty(event.body),
        "wrong": wrong,
        "batch": said_for_all(event.stamp),
        "edited": None
        if edited is None or parked.event != edited.event
        else {"by": edited.by, "at": instant(edited.at)},
        "is_off": place.config.state.value == "off",
        "held": waits_there([place.config], SENT),
    }
    return visit.page("problems/parked_event.html", values, status=422 if wrong else 200)


def check(visit: Visit) -> Response:
    """What an edited text would become; nothing is sent."""
    wrong, skip, requests = "", None, list[dict[str, Any]]()
    with visit.facts() as facts:
        place, position = _at(facts, visit.path["id"])
        try:
            _, event = wishes.check_parked_edit(facts, place, position, visit.text("event", LONGEST))
        except (NotValid, UserError) as error:
            wrong = sentence(error)
        else:
            skip, requests = becomes(facts, place, event)
    return visit.page("problems/becomes.html", {"wrong": wrong, "skip": skip, "requests": requests})


def edit(visit: Visit) -> Response:
    """The text goes out in place of the event. If it cannot, it comes back with what is wrong with it."""
    text, parked_at = visit.text("event", LONGEST), visit.text("parked_at", 20)
    with visit.facts() as facts:
        place, position = _at(facts, visit.path["id"])
        try:
            seen = int(parked_at) if is_number(parked_at) else None
            asked = wishes.edit_parked(facts, place, position, text, parked_at=seen, by=visit.by)
        except NotThere:
            raise
        except (NotValid, UserError) as error:
            return _page(visit, facts, place, position, text=text, wrong=sentence(error))
        to = address("/problems/parked", destination=place.config.name)
    found = wait(visit, [asked])
    held = waits_there([place.config], SENT) if found.done or found.waiting else ""
    return visit.go(to, f"{found.says('edited, and sent as soon as the receiver allows', 'event')} {held}".strip())


PAGES = [
    shows("/problems/parked/event/{id}", page),
    changes("/problems/parked/event/{id}/check", check),
    changes("/problems/parked/event/{id}/edit", edit, line=DELIVERY),
]
