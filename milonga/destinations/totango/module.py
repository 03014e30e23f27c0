"""In which part of the product an activity happened: Totango's module. See docs/totango.md, "Module"."""

import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from milonga.destinations.totango.settings import Settings
from milonga.destinations.totango.values import cut
from milonga.destinations.totango.wire import MAX_MODULE
from milonga.spec.event import JsonObject, Page, Track
from milonga.spec.read import object_at
from milonga.spec.values import name_text

DEFAULT: Final = "Application"  #: the module of Totango's own example (help centre, article 203639605)

_AFTER_PATH: Final = re.compile(r"[?#]")
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]+")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def page_category(page: Page) -> str | None:
    """At the top level of the event, else in its properties: both forms are documented by Segment."""
    return page.category if page.category is not None else name_text(page.properties.get("category"))


def module_of(call: Track | Page, context: JsonObject, settings: Settings) -> str:
    """Never empty: Totango demands a module with every activity."""
    return cut(named_module(call, context, settings) or settings.default_module or DEFAULT, MAX_MODULE)


def named_module(call: Track | Page, context: JsonObject, settings: Settings) -> str | None:
    """What the event itself says, of any length; None if nothing."""
    page = object_at(context, "page")
    if isinstance(call, Track):
        # The browser library remembers the page's category for the calls that follow, and says so in the context.
        category = name_text(call.properties.get("category")) or _text(page.get("category"))
        places = (page, call.properties)
    else:
        category = page_category(call)
        places = (call.properties, page)
    module = category
    if module is None and settings.module_from_url:
        module = _first_segment(*places)
    return module


def _first_segment(*places: JsonObject) -> str | None:
    """Of the first address that is given, even if nothing can be read from it."""
    for place in places:
        if (path := _text(place.get("path"))) is not None:
            return _segment(path)
        if (url := _text(place.get("url"))) is not None:
            return _segment(url) if _ORIGIN.match(url) else None
    return None


def _segment(address: str) -> str | None:
    path = _AFTER_PATH.split(address, maxsplit=1)[0]
    if origin := _ORIGIN.match(path):
        path = path[origin.end() :]
    return next((_decoded(segment) for segment in path.split("/") if segment), None)


def _decoded(segment: str) -> str:
    if "%" not in segment or _BAD_ESCAPE.search(segment):
        return segment
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeError:
        return segment


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
