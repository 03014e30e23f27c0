"""What a call is called, without reading all of it: a search looks at very many."""

from typing import Final

import msgspec
from msgspec import Struct

from milonga.spec.event import Page, Screen, Track
from milonga.spec.read import NotAnEvent, call_of, read_object
from milonga.spec.stored import Stamped

FIELD: Final = {"track": "event", "page": "name", "screen": "name"}  #: type -> where it says so


class _Named(Struct):
    event: str | None = None
    name: str | None = None


_decode: Final = msgspec.json.Decoder(_Named).decode


def name_in(event: Stamped) -> str | None:
    """The name of a track, page or screen call as `call_of` has it; None for others, and for what cannot be read."""
    field = FIELD.get(event.stamp.type)
    if field is None:
        return None
    try:
        if found := getattr(_decode(event.body), field):
            return str(found)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    try:
        call = call_of(event.stamp.type, read_object(event.body))
    except (NotAnEvent, RecursionError):
        return None
    return call.name if isinstance(call, Track | Page | Screen) else None
