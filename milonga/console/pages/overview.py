"""The first page: what needs attention, and how things stand."""

from typing import Any

from starlette.responses import Response

from milonga.console.table import shows
from milonga.console.visit import Visit
from milonga.facts import over_time
from milonga.facts.overview import nothing_arrived, overview, total
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import UserError


def page(visit: Visit) -> Response:
    with visit.facts() as facts:
        found = overview(facts, milliseconds())
        empty = nothing_arrived(facts, found["sources"])
    if visit.fragment and visit.text("empty") and not empty:
        return visit.again()  # there is something to draw now
    span = visit.text("range") if visit.text("range") in over_time.SPANS else "1h"
    values: dict[str, Any] = {"found": found, "total": total, "span": span, "spans": over_time.SPANS, "empty": empty}
    return visit.page("overview/figures.html" if visit.fragment else "overview/page.html", values)


def chart(visit: Visit) -> Response:
    """Figures of one chart, as web/src/charts.ts reads them; of one source or destination, if it is named."""
    span, now = over_time.span_named(visit.text("range")), milliseconds()
    source, destination = visit.text("source"), visit.text("destination")
    with visit.facts() as facts:
        sources = frozenset(facts.sources_called(source)) if source else None
        places = {place.config.id for place in facts.places if place.config.name == destination}
        destinations = frozenset(places) if destination else None
        match visit.path["what"]:
            case "arrivals":
                return visit.json(over_time.arrivals(facts, span, now, sources))
            case "endings":
                return visit.json(over_time.endings(facts, span, now, destinations))
            case "backlog":
                return visit.json(over_time.backlog(facts, span, now, destinations))
            case "latency":
                return visit.json(over_time.latency(facts, span, now, destinations))
            case _:
                raise UserError("There is no such chart.")


PAGES = [shows("/", page), shows("/charts/{what}", chart)]
