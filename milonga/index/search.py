"""
Finding events by what they have in common: newest first, a page at a time, each behind the place where the former one
ended. A search that would take too long stops, says how far back it has looked, and goes on from there if asked to.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import reduce
from itertools import islice
from operator import or_
from pathlib import Path
from typing import Final, TypeAlias

import apsw
from msgspec import Struct

from milonga.eventlog.api import Offset, Position, Stored
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.lookup import AFTER_ALL
from milonga.eventlog.segment import open_sealed, path_of
from milonga.index.files import Piece
from milonga.index.places import ALL, CHUNK, below, bits_of, common, pack, pack_bits
from milonga.index.standing import Standing
from milonga.index.tail import Part
from milonga.index.terms import Dim, Seen, filed, seen_in
from milonga.spec.event import EventType

BUDGET: Final = 0.08  #: seconds after which a search stops at the next chunk
MESSAGES: Final = "SELECT offset FROM events WHERE message_id = ? ORDER BY offset"

Fetch: TypeAlias = Callable[[list[Offset]], list[Stored]]
"""Reads these events from the log; what is gone or damaged is left out."""


class Query(Struct, frozen=True, kw_only=True):
    """
    All that is given must fit exactly; None: any.

    name          of an activity, a page, its category, or what Totango calls the page's activity
    account       "" for events without one
    sources       ids of them
    since, until  unix milliseconds of arrival: from the first up to but not including the second
    """

    type: EventType | None = None
    name: str | None = None
    module: str | None = None
    account: str | None = None
    user: str | None = None
    anonymous: str | None = None
    message_id: str | None = None
    sources: frozenset[int] | None = None
    since: int | None = None
    until: int | None = None

    def terms(self) -> list[tuple[Dim, str]]:
        given = (
            (Dim.message, self.message_id),
            (Dim.user, self.user),
            (Dim.anonymous, self.anonymous),
            (Dim.account, self.account),
            (Dim.called, self.name),
            (Dim.module, self.module),
            (Dim.kind, self.type),
        )
        return [(dim, filed(text)) for dim, text in given if text is not None]


class Found(Struct, frozen=True):
    """
    events       newest first
    before       pass it on to go on from here; None: there is nothing more
    is_complete  False: the page may hold fewer than asked for because looking on would have taken too long
    looked_to    when the last event arrived before which nothing was looked at, unix milliseconds; None if all was
    """

    events: list[Stored]
    before: Position | None
    is_complete: bool
    looked_to: int | None
    standing: Standing


def search(
    pieces: Iterable[Piece],
    log: Path,
    query: Query,
    limit: int,
    *,
    before: Offset = AFTER_ALL,
    fetch: Fetch,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[list[Stored], Offset | None, bool, int | None]:
    """As `Found` has it. `clock` in seconds."""
    terms, found = query.terms(), list[Stored]()
    deadline = clock() + BUDGET
    for piece in pieces:
        try:
            asked, messages = terms, None
            if query.message_id is not None and not piece.knows_messages:
                asked, messages = terms[1:], _messages(log, piece.first, terms[0][1])
            for part in () if messages == [] else piece.parts():
                if part.begin + part.base >= before or not _may_fit(part, query):
                    continue
                if clock() > deadline:
                    return found, min(before, part.upto + 1), False, part.max_at
                candidates = (part.begin + place for place in _candidates(part, asked, messages, query, before))
                for some in _batches(candidates, limit + 1):
                    for event in fetch(some):
                        if not fits(seen_in(event), query):
                            continue
                        if len(found) == limit:
                            return found, event.position.offset + 1, True, None
                        found.append(event)
        except UNREADABLE:
            piece.cannot_be_read()
    return found, None, True, None


def _may_fit(part: Part, query: Query) -> bool:
    if part.events == 0:
        return False
    late = query.since is not None and part.max_at < query.since
    return not late and not (query.until is not None and part.min_at >= query.until)


def _candidates(
    part: Part, terms: list[tuple[Dim, str]], messages: list[Offset] | None, query: Query, before: Offset
) -> Iterator[int]:
    """Places within the chunk, descending."""
    lists: list[bytes] = []
    if messages is not None:
        places = [offset - part.begin for offset in messages if 0 <= offset - part.begin < CHUNK]
        lists.append(pack(places))
    for dim, text in terms:
        places_of = part.places(dim, text)
        if places_of is None:
            return iter(())
        lists.append(places_of)
    if query.sources is not None:
        of_each = (part.places(Dim.source, str(source)) for source in query.sources)
        lists.append(pack_bits(reduce(or_, (bits_of(one) for one in of_each if one is not None), 0)))
    allowed = ALL if before >= part.begin + CHUNK else below(before - part.begin)
    starts_in = query.since is not None and part.min_at < query.since
    ends_in = query.until is not None and part.max_at >= query.until
    if starts_in or ends_in:
        allowed &= part.within(query.since, query.until)
    if not lists:
        allowed &= below(part.upto + 1 - part.begin) & ~below(part.base)
    return common(lists, allowed)


def _messages(log: Path, first: Offset, message_id: str) -> list[Offset]:
    """The log's own index knows them, once a segment is sealed."""
    try:
        with closing(open_sealed(path_of(log, first))) as db:
            return [int(row[0]) for row in db.execute(MESSAGES, (message_id,))]
    except (apsw.CantOpenError, *UNREADABLE):
        return []


def _batches(places: Iterator[Offset], size: int) -> Iterator[list[Offset]]:
    while some := list(islice(places, size)):
        yield some


def fits(seen: Seen, query: Query) -> bool:
    """Whether an event is what was asked for: the index only says where it may be."""
    if query.since is not None and seen.at < query.since:
        return False
    if query.until is not None and seen.at >= query.until:
        return False
    if query.sources is not None and seen.source not in query.sources:
        return False
    return set(query.terms()) <= set(seen.terms())
