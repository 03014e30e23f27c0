"""Which path means what. Source: Segment's HTTP API and its SDKs (docs/tracking-api.md, "Paths")."""

from enum import Enum
from functools import lru_cache
from typing import Final, get_args
from urllib.parse import unquote

import httptools
from msgspec import Struct

from milonga.collector.answers import BAD_HTTP, NOT_FOUND, ONLY_GET, ONLY_POST, Answer
from milonga.spec.event import EventType


class Kind(Enum):
    """
    single   one event, its type from the path
    batch    events, each with its type
    metrics  what SDKs report about themselves; taken and thrown away
    alive    whether the process answers
    ready    whether it can keep events
    """

    single = 1
    batch = 2
    metrics = 3
    alive = 4
    ready = 5


class Route(Struct, frozen=True):
    """type  of the one event of a `single`"""

    kind: Kind
    type: EventType | None = None


_ROUTES: Final[dict[str, Route]] = {
    **{f"/v1/{type_}": Route(Kind.single, type_) for type_ in get_args(EventType)},
    **{f"/v1/{type_[0]}": Route(Kind.single, type_) for type_ in get_args(EventType)},
    **{f"/v1/{name}": Route(Kind.batch) for name in ("batch", "b", "import")},
    "/v1/m": Route(Kind.metrics),
    "/healthz": Route(Kind.alive),
    "/readyz": Route(Kind.ready),
}


def route_of(method: str, path: str) -> Route | Answer:
    """Trailing and doubled slashes do not matter: Java's SDK writes `//v1/import/` for a host that ends in a slash."""
    route = _ROUTES.get(path)
    if route is None:
        route = _ROUTES.get("/" + "/".join(part for part in path.split("/") if part))
    if route is None:
        return NOT_FOUND
    if route.kind in (Kind.alive, Kind.ready):
        return route if method in ("GET", "HEAD") else ONLY_GET
    return route if method == "POST" else ONLY_POST


def route_to(method: bytes, target: bytes) -> Route | Answer:
    """The same for a request line: `target` is a path with its query, or a whole URL."""
    return _remembered(method, target) if len(target) <= _LONGEST_KNOWN else _route_to(method, target)


def _route_to(method: bytes, target: bytes) -> Route | Answer:
    try:
        path = httptools.parse_url(target).path or b""  # none in `OPTIONS *`
    except httptools.HttpParserInvalidURLError:
        return BAD_HTTP
    return route_of(method.decode("latin-1"), unquote(path.decode("latin-1")))


_LONGEST_KNOWN: Final = 128  # bytes; longer ones are not remembered, so that the memory of them stays small
_remembered: Final = lru_cache(maxsize=256)(_route_to)
