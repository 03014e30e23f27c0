"""Which path means what. Source: Segment's HTTP API and its SDKs (docs/tracking-api.md, "Paths")."""

import re
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
    single     one event, its type from the path
    batch      events, each with its type
    metrics    what SDKs report about themselves; taken and thrown away
    pixel      one event, its type from the path, the event itself in the query
    preflight  a browser asks whether a page may send
    alive      whether the process answers
    ready      whether it can keep events
    settings   of a source, for browsers and phones
    served     anything else that may be fetched: scripts, pages
    """

    single = 1
    batch = 2
    metrics = 3
    pixel = 4
    preflight = 5
    alive = 6
    ready = 7
    settings = 8
    served = 9


class Route(Struct, frozen=True):
    """
    type  of the one event of a `single` or `pixel`
    path  of `settings` and `served`, see milonga.collector.ask
    """

    kind: Kind
    type: EventType | None = None
    path: str = ""


_TRACKING: Final = frozenset((Kind.single, Kind.batch, Kind.metrics, Kind.pixel, Kind.preflight))


_ROUTES: Final[dict[str, Route]] = {
    **{f"/v1/{type_}": Route(Kind.single, type_) for type_ in get_args(EventType)},
    **{f"/v1/{type_[0]}": Route(Kind.single, type_) for type_ in get_args(EventType)},
    **{f"/v1/{name}": Route(Kind.batch) for name in ("batch", "b", "import")},
    "/v1/m": Route(Kind.metrics),
    **{f"/v1/pixel/{type_}": Route(Kind.pixel, type_) for type_ in get_args(EventType)},
    "/healthz": Route(Kind.alive),
    "/readyz": Route(Kind.ready),
}


def route_of(method: str, path: str) -> Route | Answer:
    """Trailing and doubled slashes do not matter: Java's SDK writes `//v1/import/` for a host that ends in a slash."""
    route = _ROUTES.get(path)
    if route is None:
        single = _SLASHES.sub("/", path)
        route = _ROUTES.get(single.rstrip("/"))
        if route is None:
            return _fetched(single) if method in _FETCHES else NOT_FOUND
    if route.kind in _TRACKING:
        if method == "OPTIONS":
            return _PREFLIGHT
        if route.kind is Kind.pixel:
            return route if method in _FETCHES else ONLY_GET
        return route if method == "POST" else ONLY_POST
    return route if method in _FETCHES else ONLY_GET


def _fetched(path: str) -> Route:
    if _SETTINGS.fullmatch(path):
        return Route(Kind.settings, path=path.rstrip("/"))
    return Route(Kind.served, path=path)


def is_tracking(to: Route | Answer) -> bool:
    """Whether a page of another site may read the answer."""
    return to.kind in _TRACKING if isinstance(to, Route) else to is ONLY_POST


def route_to(method: bytes, target: bytes) -> Route | Answer:
    """The same for a request line: `target` is a path with its query, or a whole URL."""
    return _remembered(method, target) if len(target) <= _LONGEST_KNOWN else _route_to(method, target)


def _route_to(method: bytes, target: bytes) -> Route | Answer:
    try:
        path = httptools.parse_url(target).path or b""  # none in `OPTIONS *`
    except httptools.HttpParserInvalidURLError:
        return BAD_HTTP
    return route_of(method.decode("latin-1"), unquote(path.decode("latin-1")))


_FETCHES: Final = ("GET", "HEAD")
_PREFLIGHT: Final = Route(Kind.preflight)
_SLASHES: Final = re.compile("/{2,}")
_SETTINGS: Final = re.compile(r"(?:/v1)?/projects/.+/settings/?")  # phones' cdnHost may or may not end in /v1
_LONGEST_KNOWN: Final = 128  # bytes; longer ones are not remembered, so that the memory of them stays small
_remembered: Final = lru_cache(maxsize=256)(_route_to)
