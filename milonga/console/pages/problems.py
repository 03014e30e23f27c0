"""What was not delivered, by its reason: how many, since when, for example which, and where to put it right."""

from itertools import accumulate
from typing import Any, Final

from starlette.responses import Response

from milonga.console.links import to_fix
from milonga.console.rendering import pretty
from milonga.console.table import shows
from milonga.console.visit import Visit, address
from milonga.facts import problems
from milonga.facts.facts import Facts, Place
from milonga.outcomes.examples import Mark
from milonga.outcomes.model import State
from milonga.spec.called import name_in
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState

MOST: Final = 25  #: reasons on one page: each takes some milliseconds
MOST_TEXT: Final = 1_500  #: characters of an example
MOST_NAME: Final = 80  #: characters of who it is about
HOUR: Final = 3_600_000  #: milliseconds
SAYS: Final = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
STATES: Final = {state.name: state for state in problems.UNDELIVERED}
TABS: Final = (("Reasons", ""), ("Skips", "/skips"), ("Dead letters", "/dead"), ("Parked keys", "/parked"))


def places_of(facts: Facts) -> list[Place]:
    return [place for place in facts.places if place.removed_at is None]


def chosen(visit: Visit, facts: Facts) -> Place | None:
    """The destination that is asked for; None: all. UserError if there is none of that name."""
    name = visit.text("destination")
    if not name:
        return None
    number = facts.workspace.destination(name).id
    return next((place for place in facts.places if place.config.id == number), None)


def frame(facts: Facts, place: Place | None, tab: str) -> dict[str, Any]:
    """What all pages of problems share. tab: the end of its address"""
    name = None if place is None else place.config.name
    return {
        "tabs": [(words, address(f"/problems{end}", destination=name)) for words, end in TABS],
        "here": address(f"/problems{tab}", destination=name),
        "place": place,
        "destination": name or "",
        "destinations": [("", "All destinations"), *((one.config.name, one.config.name) for one in places_of(facts))],
    }


def page(visit: Visit) -> Response:
    span = span_of(visit)
    with visit.facts() as facts:
        place = chosen(visit, facts)
        number = None if place is None else place.config.id
        found = problems.reasons(facts, span, number)
        values = {
            **frame(facts, place, ""),
            "span": span,
            "spans": SAYS,
            "rows": [row(facts, one) for one in found[:MOST]],
            "more": max(0, len(found) - MOST),
            "parked": [_parked(facts, one) for one in problems.parked(facts, number)],
            "held": list(_held(facts, place)),
            "server_runs": facts.server_runs,
        }
    return visit.page("problems/reasons.html" if visit.fragment else "problems/page.html", values)


def trend(visit: Visit) -> Response:
    """One reason over time, as web/src/charts.ts reads it."""
    span, state = span_of(visit), state_of(visit)
    with visit.facts() as facts:
        place = chosen(visit, facts)
        if place is None:
            raise UserError("Name a destination.")
        return visit.json(problems.chart(facts, place.config.id, state, visit.text("code"), span))


def row(facts: Facts, reason: problems.Reason) -> dict[str, Any]:
    """
    A reason with where to put it right: `to` (words, address), `see` (the address of its examples), `example` (one of
    them, as below; None if none is known).
    """
    words = problems.tell(facts, reason)
    told = problems.as_row(facts, reason, words)
    place = next((one for one in facts.places if one.config.id == reason.destination), None)
    name, source = told["destination"], "" if place is None else facts.source(place.config.source)
    if reason.state is State.dead and reason.kept:
        see = address("/problems/dead", destination=name, code=reason.code)
    else:
        state = None if reason.state is State.skipped else reason.state.name
        see = address("/problems/skips", destination=name, code=reason.code, state=state)
    to = None
    if place is not None and place.removed_at is None:
        to = to_fix(told["fixAt"], place.config, source)
    return {**told, "to": to, "see": see, "example": None if words.example is None else example_of(words.example)}


def example_of(met: problems.Met) -> dict[str, Any]:
    """
    `position`, `endedAt`, and of what is kept of the event `called`, `account`, `user`, bounded, and `text`: so many
    whole lines of it, for a write key that is cut in two would be none to whoever hides them from viewers.
    """
    found: dict[str, Any] = {"position": met.position, "endedAt": met.ended_at, "called": None}
    if met.event is None:
        return found
    stamp, name = met.event.stamp, name_in(met.event)
    lines = pretty(met.event.body).splitlines()
    ends = accumulate(len(line) + 1 for line in lines)
    shown = lines[: sum(end <= MOST_TEXT for end in ends)]
    return found | {
        "called": _cut(f"{stamp.type} {name}" if name else stamp.type),
        "account": _cut(stamp.account or ""),
        "user": _cut(stamp.user_id or ""),
        "text": "\n".join([*shown, *(["…"] if len(shown) < len(lines) else [])]),
    }


def _cut(text: str) -> str:
    return text if len(text) <= MOST_NAME else f"{text[:MOST_NAME]}…"


def mark_of(text: str) -> Mark | None:
    """A page's `before`; None if it is none."""
    parts = text.split("_")
    if len(parts) != len(Mark._fields) or not all(map(is_number, parts)):
        return None
    return Mark(*map(int, parts))


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def span_of(visit: Visit) -> str:
    text = visit.text("span")
    return text if text in problems.SPANS else "24h"


def state_of(visit: Visit) -> State:
    return STATES.get(visit.text("state"), State.skipped)


def _parked(facts: Facts, summary: problems.ParkedSummary) -> dict[str, Any]:
    name = facts.destination_name(summary.destination)
    return {
        "destination": name,
        "parked": summary.keys,
        "events": summary.events,
        "by": summary.by,
        "exact": summary.exact,
        "to": address("/problems/parked", destination=name),
    }


def _held(facts: Facts, chosen_: Place | None) -> Any:
    """Destinations that send nothing now: (name, words, tone, address)."""
    for place in places_of(facts):
        config = place.config
        if chosen_ is not None and chosen_.config.id != config.id:
            continue
        change, health = config.changes[-1], facts.health(config.id)
        to = address("/destinations/{}", [config.name])
        if change.state is DestinationState.paused:
            tone = "bad" if change.by == "settings" else "warn"
            yield config.name, f"is paused: {change.reason or 'by hand'}", tone, to
        elif change.state is DestinationState.on and health is not None and health.breaker != "closed":
            yield config.name, f"does not answer: {health.last_failure_reason or health.last_failure_code}", "bad", to


PAGES = [
    shows("/problems", page),
    shows("/problems/trend", trend),
]
