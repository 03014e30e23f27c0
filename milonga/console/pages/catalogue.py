"""The modules and activities that were seen, and what practice says about them."""

from typing import Any

from starlette.responses import Response

from milonga.console.table import shows
from milonga.console.visit import Visit, address
from milonga.index.advice import advice


def page(visit: Visit) -> Response:
    with visit.facts() as facts:
        sources = facts.workspace.sources.all()
    wanted = next((one for one in sources if one.name == visit.text("source")), None)
    found = visit.services.index.catalogue(None if wanted is None else wanted.id)
    name = None if wanted is None else wanted.name
    values: dict[str, Any] = {
        "found": found,
        "advice": advice(found.modules, found.activities),
        "source": name or "",
        "sources": [("", "All sources"), *((one.name, one.name) for one in sources)],
        "standing": found.standing,
        "to_activity": lambda text: address("/events", name=text, source=name),
        "to_module": lambda text: address("/events", module=text, source=name),
    }
    return visit.page("catalogue/page.html", values)


PAGES = [shows("/catalogue", page)]
