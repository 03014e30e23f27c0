"""All routes of the API, in one table; and finding the one that a request means."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from milonga.api.problem import NOTHING_HERE, UNKNOWN_ROUTE, Problem
from milonga.api.resources import (
    accounts,
    catalog,
    commands,
    dead,
    destinations,
    events,
    filters,
    health,
    keys,
    metered,
    parked,
    people,
    previews,
    problems,
    regulations,
    replays,
    sources,
)
from milonga.api.route import Route

PREFIX: Final = "/api/v1"
DESCRIPTION: Final = "openapi.json"  #: this table, as tools read it

ROUTES: Final[tuple[Route, ...]] = (
    *sources.ROUTES,
    *keys.ROUTES,
    *destinations.ROUTES,
    *filters.ROUTES,
    *catalog.ROUTES,
    *metered.ROUTES,  # before what has a name of ours in the same place
    *events.ROUTES,
    *previews.ROUTES,
    *problems.ROUTES,
    *accounts.ROUTES,
    *dead.ROUTES,
    *parked.ROUTES,
    *replays.ROUTES,
    *regulations.ROUTES,
    *people.ROUTES,
    *commands.ROUTES,
    *health.ROUTES,
)

BY_NAME: Final[Mapping[str, Route]] = {route.name: route for route in ROUTES}


class Found(Struct, frozen=True):
    """names  what stands for the {names} of its path"""

    route: Route
    names: Mapping[str, str]


def find(method: str, parts: Sequence[str]) -> Found:
    """
    parts  of the path behind the prefix, each decoded

    A Problem, 404 or 405, if there is none. HEAD is GET without the body.
    """
    there: dict[str, Found] = {}
    for route in ROUTES:
        names = _match(route, parts)
        if names is not None and route.method not in there:
            there[route.method] = Found(route, names)
    if not there:
        raise Problem(404, UNKNOWN_ROUTE, f"{NOTHING_HERE} {PREFIX}/{DESCRIPTION} says what there is.")
    found = there.get("GET" if method == "HEAD" else method)
    if found is None:
        allowed = ", ".join(there)
        raise Problem(405, "method_not_allowed", f"Use {allowed} here.", headers={"Allow": allowed})
    return found


def _match(route: Route, parts: Sequence[str]) -> dict[str, str] | None:
    wanted = route.path.split("/")[1:]
    if len(wanted) != len(parts):
        return None
    names: dict[str, str] = {}
    for one, part in zip(wanted, parts, strict=True):
        if one.startswith("{"):
            names[one[1:-1]] = part
        elif one != part:
            return None
    return names
