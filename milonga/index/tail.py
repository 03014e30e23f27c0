"""The newest events of a stretch, in memory until they are written: never more than PART of them."""

from array import array
from operator import itemgetter
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
    """
    Written by one thread, read by any.

    segment   first offset of the stretch
    messages  whether events are filed by their message id, too
    """

    def __init__(self, segment: int, first: int, part: int = PART, *, messages: bool = True) -> None:
        """
        first  offset that the first event may have
        part   places, a divisor of CHUNK and a multiple of BLOCK
        """
        self.segment, self.messages = segment, messages
        self._end = first + part - (first - segment) % part  # the next part begins there
        self._chunk = (first - segment) >> CHUNK_BITS
        self.base = (first - segment) & (CHUNK - 1) & -BLOCK  # whole blocks have times
        self.begin = segment + (self._chunk << CHUNK_BITS)
        self.upto = first - 1
        self.events = 0
        self.min_at, self.max_at = 2**62, 0
        self._by: dict[int, dict[str, int | array[int]]] = {dim: {} for dim in Dim}  # most have one place
        self._times: array[int] = array("q")
        self.accounts: dict[str, AccountFacts] = {}

    def would_leave(self, offset: int) -> bool:
        """Whether this place belongs to another part."""
        return offset >= self._end

    def add(self, seen: Seen) -> None:
        """The offset is beyond all others, and of the same part."""
        place, at = seen.offset - self.begin, seen.at
        self._pass(place)
        self._times.append(at)
        if at < self.min_at:
            self.min_at = at
        if at > self.max_at:
            self.max_at = at
        by = self._by
        for dim, text in seen.terms(messages=self.messages):
            filed = by[dim]
            places = filed.get(text)
            if places is None:
                filed[text] = place
            elif isinstance(places, int):
                filed[text] = array("H", (places, place))
            else:
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
        return None if found is None else _packed(found)

    def within(self, since: int | None, until: int | None) -> int:
        return within(spans(self._times[:]), since, until) << self.base

    # What is written

    def spans(self) -> bytes:
        return spans(self._times)

    def postings(self) -> list[tuple[int, str, bytes]]:
        """In the order of the file."""
        by_text = itemgetter(0)
        return [
            (dim, text, _packed(places))
            for dim, filed in self._by.items()
            for text, places in sorted(filed.items(), key=by_text)
        ]

    def facts(self) -> list[tuple[str, bytes]]:
        """In the order of the file."""
        return [(account, found.pack(self.segment)) for account, found in sorted(self.accounts.items())]


def _packed(places: "int | array[int]") -> bytes:
    """They may grow meanwhile, in another thread."""
    return places.to_bytes(2, "little") if isinstance(places, int) else pack(places[:])
