"""What is told of one account: whose, where, what, how often, since when. Pure; memory is bounded by the events."""

import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from milonga.eventlog.api import Offset
from milonga.index import sketch
from milonga.index.terms import Seen

MOST_OF_A_KIND: Final = 200
"""Users, modules, activities of one account that one file tells of: the newest users, the most frequent of the rest."""

WORTH_IT: Final = 256  #: bytes from which on what is packed is shortened


class Kind(IntEnum):
    """Of what is counted. The numbers are written into files."""

    user = 1
    module = 2
    activity = 3
    type = 4


class Count(Struct, gc=False):
    """
    n            events
    first_at, last_at  unix milliseconds
    last_offset  of the newest of them
    """

    n: int
    first_at: int
    last_at: int
    last_offset: Offset

    def add(self, n: int, first_at: int, last_at: int, last_offset: Offset) -> None:
        self.n += n
        if first_at < self.first_at:
            self.first_at = first_at
        if last_at > self.last_at:
            self.last_at = last_at
        if last_offset > self.last_offset:
            self.last_offset = last_offset


class AccountFacts:
    """
    all     all of its events; None without any
    named   its group calls; None without any
    name    that the newest of these with a name gave; "" without, and `name_offset` is that call's
    counts  (kind, text) -> Count
    """

    __slots__ = ("_more_users", "all", "counts", "name", "name_offset", "named")

    def __init__(self) -> None:
        self.all: Count | None = None
        self.named: Count | None = None
        self.name, self.name_offset = "", 0
        self.counts: dict[tuple[int, str], Count] = {}
        self._more_users: set[int] | None = None  # hashes of all users, where not all of them are in `counts`

    def add(self, seen: Seen) -> None:
        """An event behind all others."""
        at, offset = seen.at, seen.offset
        if self.all is None:
            self.all = Count(1, at, at, offset)
        else:
            self.all.add(1, at, at, offset)
        self._count(4, seen.type, at, offset)
        if seen.user is not None:
            self._count(1, seen.user, at, offset)
        if seen.module is not None:
            self._count(2, seen.module, at, offset)
        for activity in seen.activities:
            self._count(3, activity, at, offset)
        if seen.named is not None:
            self._add_named(Count(1, at, at, offset), seen.named, offset)

    def _count(self, kind: int, text: str, at: int, offset: Offset) -> None:
        key = (kind, text)
        found = self.counts.get(key)
        if found is None:
            self.counts[key] = Count(1, at, at, offset)
        else:
            found.n += 1
            if at > found.last_at:
                found.last_at = at
            elif at < found.first_at:
                found.first_at = at
            found.last_offset = offset

    def _add_named(self, count: Count, name: str, offset: Offset) -> None:
        if self.named is None:
            self.named = count
        else:
            self.named.add(count.n, count.first_at, count.last_at, count.last_offset)
        if name and offset >= self.name_offset:
            self.name, self.name_offset = name, offset

    def merge(self, other: "AccountFacts") -> None:
        """Of other events of the same account. `other` may grow meanwhile, in another thread."""
        if other._more_users is not None or self._more_users is not None:
            self._more_users = sketch.smallest((*self._hashes(), *other._hashes()))
        if other.all is not None:
            self.all = _sum(self.all, other.all)
        if other.named is not None:
            self._add_named(_sum(None, other.named), other.name, other.name_offset)
        counts = self.counts
        for key, count in list(other.counts.items()):
            if (mine := counts.get(key)) is None:
                counts[key] = Count(count.n, count.first_at, count.last_at, count.last_offset)
            else:
                mine.add(count.n, count.first_at, count.last_at, count.last_offset)

    def users(self) -> tuple[int, bool]:
        """How many there are, and whether that is exact."""
        if self._more_users is None:
            return sum(kind == Kind.user for kind, _ in list(self.counts)), True
        return sketch.about(self._more_users), sketch.is_exact(self._more_users)

    def of(self, kind: Kind) -> Iterator[tuple[str, Count]]:
        return ((text, count) for (one, text), count in list(self.counts.items()) if one == kind)

    def _hashes(self) -> set[int]:
        if self._more_users is not None:
            return self._more_users
        return sketch.smallest(sketch.hash_of(text) for text, _ in self.of(Kind.user))

    # In a file

    def pack(self, first: Offset) -> bytes:
        """At most MOST_OF_A_KIND of each kind. `first`: of the stretch; there is an event. See `shortened`."""
        assert self.all is not None  # noqa: S101 - there is an event
        began, hashes, counts = self.all.first_at, self._more_users, list(self.counts.items())
        if len(counts) > MOST_OF_A_KIND:
            hashes, counts = self._bounded(counts)
        rows = [
            (kind, text, c.n, c.first_at - began, c.last_at - c.first_at, c.last_offset - first)
            for (kind, text), c in counts
        ]
        named = None if self.named is None else (self.name, self.name_offset, *_relative(self.named, began, first))
        users = None if hashes is None else sketch.pack(hashes)
        return _encode((began, _relative(self.all, began, first), named, users, rows))

    def _bounded(
        self, counts: list[tuple[tuple[int, str], Count]]
    ) -> tuple[set[int] | None, list[tuple[tuple[int, str], Count]]]:
        """Hashes of all users, if some are left out; and what is kept."""
        hashes, kept = self._more_users, list[tuple[tuple[int, str], Count]]()
        for kind in Kind:
            some = [one for one in counts if one[0][0] == kind]
            if len(some) > MOST_OF_A_KIND:
                if kind is Kind.user:
                    hashes = self._hashes()
                    some.sort(key=lambda one: -one[1].last_offset)
                else:
                    some.sort(key=lambda one: -one[1].n)
            kept += some[:MOST_OF_A_KIND]
        return hashes, kept


def shortened(packed: bytes) -> bytes:
    """For files that stay: it takes longer than packing."""
    return zlib.compress(packed, 1) if len(packed) >= WORTH_IT and packed[0] != _COMPRESSED else packed


def unpack(packed: bytes, first: Offset) -> AccountFacts:
    """`first`: of the stretch. Shortened or not."""
    if packed[0] == _COMPRESSED:
        packed = zlib.decompress(packed)
    began, all_, named, users, rows = _decode(packed)
    facts = AccountFacts()
    facts.all = _absolute(all_, began, first)
    if named is not None:
        facts.name, facts.name_offset, *rest = named
        facts.named = _absolute(rest, began, first)
    if users is not None:
        facts._more_users = set(sketch.unpack(users))
    for kind, text, n, after, lasted, offset in rows:
        facts.counts[kind, text] = Count(n, began + after, began + after + lasted, first + offset)
    return facts


_COMPRESSED: Final = 0x78  #: how zlib begins; MessagePack's list of five begins otherwise
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, list[int], list[Any] | None, bytes | None, list[list[Any]]]).decode


def _relative(count: Count, began: int, first: Offset) -> tuple[int, int, int, int]:
    """Small numbers take little."""
    return count.n, count.first_at - began, count.last_at - count.first_at, count.last_offset - first


def _absolute(row: list[int], began: int, first: Offset) -> Count:
    n, first_at, lasted, offset = row
    return Count(n, began + first_at, began + first_at + lasted, first + offset)


def _sum(one: Count | None, other: Count) -> Count:
    if one is None:
        return Count(other.n, other.first_at, other.last_at, other.last_offset)
    one.add(other.n, other.first_at, other.last_at, other.last_offset)
    return one
