"""
What the index reads of an event: the few values that it files, without making objects of everything else. The same as
milonga.spec.read makes of them. Pure.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from milonga.spec.event import Call, Group, JsonObject, Page, Screen, Track
from milonga.spec.read import call_of, read_stamped
from milonga.spec.stored import Stamped
from milonga.spec.values import name_text


class _Place(Struct, gc=False):
    """Properties, and what the context says of the page: where an activity happened."""

    category: Any = None
    path: Any = None
    url: Any = None

    def as_object(self) -> JsonObject:
        return {"category": self.category, "path": self.path, "url": self.url}


class _Context(Struct, gc=False):
    page: _Place | UnsetType | None = UNSET


class _Traits(Struct, gc=False):
    name: Any = None


class _Body(Struct, gc=False):
    event: Any = None
    name: Any = None
    category: Any = None
    traits: _Traits | None = None
    properties: _Place | None = None
    context: _Context | None = None


_body = msgspec.json.Decoder(_Body).decode
_context = msgspec.json.Decoder(_Context).decode


def read(stamped: Stamped) -> tuple[Call, JsonObject]:
    """The call and its context, at least with what is filed of them. NotAnEvent as `read_stamped`."""
    stamp = stamped.stamp
    try:
        body = _body(stamped.body)
        page = UNSET if body.context is None else body.context.page
        if page is UNSET and stamp.batch_context is not UNSET:
            page = _context(stamp.batch_context).page
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        event = read_stamped(stamped)  # broken, or something is no object where one is usual
        return event.call, event.context
    properties = {} if body.properties is None else body.properties.as_object()
    context = {"page": page.as_object()} if isinstance(page, _Place) else {}
    match stamp.type:
        case "track":
            return Track(name_text(body.event), properties), context
        case "page":
            return Page(name_text(body.name), name_text(body.category), properties), context
        case "screen":
            return Screen(name_text(body.name), name_text(body.category), properties), context
        case "group":
            return Group(None, {} if body.traits is None else {"name": body.traits.name}), context
        case _:
            return call_of(stamp.type, {}), context
