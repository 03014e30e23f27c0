"""Which events get the sender's IP address as their `context.ip`. Source: Segment spec, Common fields, "Context"."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Raw, Struct

from milonga.privacy.ip import Change, Policy, removed, shortened
from milonga.spec.arrived import Arrived

CLIENT_LIBRARIES: Final = frozenset(
    (
        "analytics.js",
        "analytics-kotlin",
        "analytics-swift",
        "analytics-android",
        "analytics-ios",
        "analytics-react-native",
        "analytics-flutter",
        "analytics-csharp",
        "amp",
    )
)
"""
Names in `context.library` of what runs at the user's: there the sender's address is the user's. In lower case, `-` for
`_`, without `@segment/`.
"""

CHANGES: Final[Mapping[str, Change]] = {"truncate": shortened, "strip": removed}
"""What becomes of any address, whoever put it there, with the policies that keep less than was sent."""

_LONGEST: Final = 256  # bytes of a `library` that is remembered; an SDK's has 50


class _Library(Struct):
    name: str = ""


_read: Final = msgspec.json.Decoder(_Library).decode


def wanting(events: Sequence[Arrived], setting: Policy, by_pixel: bool) -> list[int]:
    """
    Places of those among the events of one request whose `context.ip` is to be filled.

    setting   of the source
    by_pixel  it came as a picture, which only users' programs fetch
    """
    if setting in ("never", "strip"):
        return []
    if by_pixel or setting == "always":
        return [place for place, event in enumerate(events) if not _has(event)]
    found: list[int] = []
    last, is_client = None, False
    for place, event in enumerate(events):
        context = event.context
        shared = event.envelope.items
        library = context.get("library") or shared.get("library")
        if library != last:  # one program has one library, so this is rarely so
            last, is_client = library, library is not None and _is_client(bytes(library))
        # `direct` is how a server asks that passes a user's call on.
        if (is_client or "direct" in context or "direct" in shared) and _wants(event, is_client):
            found.append(place)
    return found


def _wants(event: Arrived, is_client: bool) -> bool:
    return (is_client or _member(event, "direct") == b"true") and not _has(event)


def _has(event: Arrived) -> bool:
    """`0.0.0.0` too: that is how a sender says that it wants none. null is none."""
    return _member(event, "ip") not in (None, b"null")


def _member(event: Arrived, key: str) -> bytes | None:
    """Of the event's own context, else of its batch's."""
    raw: Raw | None = event.context.get(key)
    if raw is None:
        raw = event.envelope.items.get(key)
    return None if raw is None else bytes(raw)


def _is_client(library: bytes) -> bool:
    # A sender's library is the same with every event.
    return _remembered(library) if len(library) <= _LONGEST else _named(library)


def _named(library: bytes) -> bool:
    try:
        name = _read(library).name
    except (msgspec.MsgspecError, RecursionError):
        return False
    return name.lower().removeprefix("@segment/").replace("_", "-") in CLIENT_LIBRARIES


_remembered: Final = lru_cache(maxsize=256)(_named)
