"""Destinations: which there are, how one stands, its switches, adding one, removing one."""

from typing import Any, Final

from starlette.responses import Response

from milonga.console.destinations import config_of, frame, home, in_force, place_of, told_to_pages
from milonga.console.switching import steps
from milonga.console.table import changes, shows
from milonga.console.visit import Visit
from milonga.facts import over_time
from milonga.facts.destinations import lacks
from milonga.facts.directory import log_end
from milonga.facts.facts import Facts, waiting_events
from milonga.facts.overview import of_destination, standings
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.roles import Role

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused

LONGEST_REASON: Final = 300  #: characters

_DONE: Final = {ON: "{} is on.", OFF: "{} is off.", PAUSED: "{} is paused: it keeps what arrives, and sends nothing."}


def every(visit: Visit) -> Response:
    removed = visit.text("removed") == "1"
    with visit.facts() as facts:
        now = milliseconds()
        there = [place for place in facts.places if place.removed_at is None]
        gone = [place for place in facts.places if place.removed_at is not None]
        rows = [
            (place, home(place.config), one) for place, one in zip(there, standings(facts, there, now), strict=True)
        ]
        values = {
            "rows": rows,
            "labels": {kind.kind: kind.label for kind in facts.workspace.kinds.values()},
            "attention": [said for _, _, one in rows for said in of_destination(one, now)],
            "gone": [(place, home(place.config, removed=True)) for place in gone] if removed else [],
            "removed": len(gone),
            "sources": bool(facts.workspace.sources.all()),
            "server": facts.server_runs,
        }
    return visit.page("destinations/standings.html" if visit.fragment else "destinations/list.html", values)


# -- one


def overview(visit: Visit) -> Response:
    with visit.facts() as facts:
        place = place_of(visit, facts)
        values = frame(visit, facts, place, "")
        values |= {"span": _span(visit), "spans": over_time.SPANS}
        if place.removed_at is None:
            values |= _switches(visit, facts, place.config)
            values |= {"force": in_force(facts, place.config), "pages": told_to_pages(facts, place.config)}
    return visit.page("destinations/standing.html" if visit.fragment else "destinations/overview.html", values)


def _span(visit: Visit) -> str:
    chosen = visit.text("range")
    return chosen if chosen in over_time.SPANS else "1h"


def _switches(visit: Visit, facts: Facts, config: DestinationConfig) -> dict[str, Any]:
    waiting, exact = waiting_events(facts, config, log_end(visit.config.data))
    return {
        "steps": steps(config, waiting, exact=exact),
        "now": config.changes[-1],
        "lacking": lacks(facts.workspace, config) if config.kind in facts.workspace.kinds else (),
    }


def force(visit: Visit) -> Response:
    """Asked every second until all is in force."""
    with visit.facts() as facts:
        config = config_of(visit, facts)
        values = {"config": config, "home": home(config), "force": in_force(facts, config)}
    return visit.page("destinations/in-force.html", values)


def switch(visit: Visit) -> Response:
    wanted = next((state for state in DestinationState if state.value == visit.text("state")), None)
    if wanted is None:
        raise UserError("Say which state: on, off or paused.")
    with visit.facts() as facts:
        config = config_of(visit, facts)
        name, at = config.name, home(config)
        if wanted is PAUSED and config.state is OFF:
            raise UserError(f"{name} is off, so nothing waits for it: it cannot be paused. Switch it on first.")
        if wanted is ON and config.state is OFF and (lacking := lacks(facts.workspace, config)):
            labels = " and ".join(field.label for field in lacking)
            return visit.go(f"{at}/settings", f"{name} stays off: without {labels} nothing can be sent. Set it first.")
        reason = {ON: "resumed" if config.state is PAUSED else "switched on", OFF: "switched off"}.get(wanted, "")
        reason = reason or visit.text("reason", LONGEST_REASON).strip() or "paused by hand"
        moved = facts.workspace.change_state(config.id, wanted, visit.by, reason, log_end(visit.config.data))
    return visit.go(at, _DONE[wanted].format(name) if moved else f"{name} was {wanted.value} already.")


# -- removing


def remove(visit: Visit) -> Response:
    return _remove(visit, "")


def _remove(visit: Visit, wrong: str) -> Response:
    with visit.facts() as facts:
        config = config_of(visit, facts)
        waiting, exact = waiting_events(facts, config, log_end(visit.config.data))
        values = {
            **frame(visit, facts, place_of(visit, facts), ""),
            "waiting": waiting,
            "exact": exact,
            "letters": 0 if facts.delivery is None else facts.delivery.dead_count(config.id),
            "typed": visit.text("typed"),
            "wrong": wrong,
        }
    return visit.page("destinations/remove.html", values, status=422 if wrong else 200)


def removed(visit: Visit) -> Response:
    with visit.facts() as facts:
        config = config_of(visit, facts)
        if visit.text("typed").strip() == config.name:
            facts.workspace.remove_destination(config.id, log_end(visit.config.data), by=visit.by)
            return visit.go(
                "/destinations", f"{config.name} was removed. Its history and what became of its events stay."
            )
    return _remove(visit, f"Nothing was removed. Type its name, {config.name}, to say that you mean it.")


PAGES = [
    shows("/destinations", every),
    shows("/destinations/{name}", overview),
    shows("/destinations/{name}/in-force", force),
    changes("/destinations/{name}/state", switch),
    shows("/destinations/{name}/remove", remove, Role.editor),
    changes("/destinations/{name}/remove", removed),
]
