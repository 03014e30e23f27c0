"""How many events have something in common, by the index alone: none of them is read."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Final

from msgspec import Struct

from milonga.eventlog.api import Offset, Stored
from milonga.eventlog.aside import UNREADABLE
from milonga.index.files import Piece
from milonga.index.places import below, bits_of
from milonga.index.tail import Part
from milonga.index.terms import Dim
from milonga.spec.read import EVENT_TYPES

BUDGET: Final = 0.08  #: seconds after which it stops at the next part


class Tally(Struct, frozen=True):
    """
    events       how many
    types        of which type
    first        offset of the oldest; None without
    is_complete  False: older ones were not counted, because that would have taken too long
    """

    events: int
    types: Mapping[str, int]
    first: Offset | None
    is_complete: bool = True


def tally(
    pieces: Iterable[Piece],
    terms: Sequence[tuple[Dim, str]],
    newer: Sequence[Stored],
    *,
    before: Offset,
    clock: Callable[[], float] = time.monotonic,
) -> Tally:
    """
    terms   one at least
    newer   those that fit from `before` on, newest first: the index does not have them
    before  of the index, only what lies before it
    clock   in seconds
    """
    events, types, deadline = len(newer), Counter[str](one.event.stamp.type for one in newer), clock() + BUDGET
    first = newer[-1].position.offset if newer else None
    for piece in pieces:
        try:
            for part in piece.parts():
                if part.begin + part.base >= before:
                    continue
                if clock() > deadline:
                    return Tally(events, types, first, False)
                if not (bits := _bits(part, terms, before)):
                    continue
                events, first = events + bits.bit_count(), part.begin + (bits & -bits).bit_length() - 1
                for kind in EVENT_TYPES:
                    if (places := part.places(Dim.kind, kind)) is not None:
                        types[kind] += (bits & bits_of(places)).bit_count()
        except UNREADABLE:
            piece.cannot_be_read()
    return Tally(events, +types, first)


def _bits(part: Part, terms: Sequence[tuple[Dim, str]], before: Offset) -> int:
    """A bitmap of the places of the chunk that have all of them."""
    lists = list[bytes]()
    for dim, text in terms:
        if (places := part.places(dim, text)) is None:
            return 0
        lists.append(places)
    return reduce(and_, map(bits_of, lists), below(before - part.begin))
