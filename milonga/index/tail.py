"""The newest events of a stretch, in memory until they are written: never more than PART of them."""

from array import array
from typing import Final, Protocol

from milonga.index.facts import AccountFacts
from milonga.index.places import BLOCK, CHUNK, CHUNK_BITS, pack, spans, within
from milonga.index.terms import Dim, Seen

PART: Final = CHUNK // 4  #: places


class Part(Protocol):
    """
    Some neighbouring places of one chunk, as a search sees them.

    begin           offset of the first place of their chunk
    base            the first place of it that it covers
    upto            offset of the last event it knows
    min_at, max_at  unix milliseconds
    events          how many
    """

    begin: int
    base: int
    upto: int
    min_at: int
    max_at: int
    events: int

    def places(self, dim: Dim, text: str) -> bytes | None:
        """As milonga.index.places packs them; None for none."""
        ...

    def within(self, since: int | None, until: int | None) -> int:
        """A bitmap of the places of the chunk that may have arrived then."""
        ...


class Tail:
    """Written by one thread, read by any. `segment`: first offset of the stretch."""

    def __init__(self, segment: int, first: int, part: int = PART) -> None:
        """
        first  offset that the first event may have
        part   places, a divisor of CHUNK and a multiple of BLOCK
        """
        self.segment, self._part = segment, part
        self._chunk = (first - segment) >> CHUNK_BITS
        self.base = (first - segment) & (CHUNK - 1) & -BLOCK  # whole blocks have times
        self.begin = segment + (self._chunk << CHUNK_BITS)
        self.upto = first - 1
        self.events = 0
        self.min_at, self.max_at = 2**62, 0
        self._by: dict[int, dict[str, array[int]]] = {dim: {} for dim in Dim}
        self._times: array[int] = array("q")
        self.accounts: dict[str, AccountFacts] = {}

    def would_leave(self, offset: int) -> bool:
        """Whether this place belongs to another part."""
        return (offset - self.segment) // self._part != (self.begin + self.base - self.segment) // self._part

    def add(self, seen: Seen) -> None:
        """The offset is beyond all others, and of the same part."""
        place = seen.offset - self.begin
        self._pass(place)
        self._times.append(seen.at)
        self.min_at, self.max_at = min(self.min_at, seen.at), max(self.max_at, seen.at)
        by = self._by
        for dim, text in seen.terms():
            places = by[dim].get(text)
            if places is None:
                by[dim][text] = array("H", (place,))
            elif places[-1] != place:
                places.append(place)
        if seen.account is not None:
            account = self.accounts.get(seen.account)
            if account is None:
                account = self.accounts[seen.account] = AccountFacts()
            account.add(seen)
        self.events += 1
        self.upto = seen.offset

    def skip(self, offset: int) -> None:
        """A place that holds nothing to be found."""
        self._pass(offset - self.begin + 1)
        self.upto = offset

    def _pass(self, place: int) -> None:
        while self.base + len(self._times) < place:
            self._times.append(self._times[-1] if self._times else 0)

    def places(self, dim: Dim, text: str) -> bytes | None:
        found = self._by[dim].get(text)
        return None if found is None else pack(found[:])

    def within(self, since: int | None, until: int | None) -> int:
        return within(spans(self._times[:]), since, until) << self.base

    # What is written

    def spans(self) -> bytes:
        return spans(self._times)

    def postings(self) -> list[tuple[int, str, bytes]]:
        """In the order of the file."""
        return [(dim, text, pack(places)) for dim in Dim for text, places in sorted(self._by[dim].items())]

    def facts(self) -> list[tuple[str, bytes]]:
        """In the order of the file."""
        return [(account, found.pack(self.segment)) for account, found in sorted(self.accounts.items())]
