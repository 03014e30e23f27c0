"""What is told of an account: whose, where, what, how often, since when. Pure; memory is bounded by the events."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import groupby
from typing import Final, TypeAlias

from msgspec import Struct

from milonga.index import sketch
from milonga.index.terms import Seen

MOST_OF_A_KIND: Final = 200
"""Users, modules, activities of one account that one file tells of: the newest users, the most frequent of the rest."""


class Kind(IntEnum):
    """
    The numbers are written into files.

    all       all events of the account; its text is "", and `users` a sketch of how many there are
    named     its group calls; the text is the name that the last of them gave
    """

    all = 0
    user = 1
    module = 2
    activity = 3
    type = 4
    named = 5


class Fact(Struct, frozen=True, gc=False):
    """
    n            events
    first_at, last_at  unix milliseconds
    last_offset  of the newest of these events
    users        see Kind.all; b"" for all others
    """

    account: str
    kind: Kind
    text: str
    n: int
    first_at: int
    last_at: int
    last_offset: int
    users: bytes = b""

    @property
    def place(self) -> tuple[str, int, str]:
        """In which order they are kept."""
        return self.account, self.kind, self.text


Row: TypeAlias = tuple[str, int, str, int, int, int, int, bytes]


def row_of(fact: Fact) -> Row:
    return (
        fact.account,
        int(fact.kind),
        fact.text,
        fact.n,
        fact.first_at,
        fact.last_at,
        fact.last_offset,
        fact.users,
    )


def fact_of(row: Row) -> Fact:
    return Fact(row[0], Kind(row[1]), *row[2:])


class _Count(Struct, gc=False):
    n: int
    first_at: int
    last_at: int
    last_offset: int

    def add(self, at: int, offset: int) -> None:
        self.n += 1
        if at < self.first_at:
            self.first_at = at
        elif at > self.last_at:
            self.last_at = at
        self.last_offset = offset


class Account:
    """One account, as its events come in the order of the log."""

    __slots__ = ("_counts", "_name")

    def __init__(self) -> None:
        self._counts: dict[tuple[int, str], _Count] = {}
        self._name = ""

    def add(self, seen: Seen) -> None:
        at, offset = seen.at, seen.offset
        self._add(0, "", at, offset)
        self._add(4, seen.type, at, offset)
        if seen.user is not None:
            self._add(1, seen.user, at, offset)
        if seen.module is not None:
            self._add(2, seen.module, at, offset)
        for activity in seen.activities:
            self._add(3, activity, at, offset)
        if seen.named is not None:
            self._add(5, "", at, offset)
            self._name = seen.named or self._name

    def _add(self, kind: int, text: str, at: int, offset: int) -> None:
        found = self._counts.get((kind, text))
        if found is None:
            self._counts[kind, text] = _Count(1, at, at, offset)
        else:
            found.add(at, offset)

    def facts(self, account: str) -> list[Fact]:
        """In the order of `Fact.place`, `all` with its sketch. While events are added: as of some moment of that."""
        counts = list(self._counts.items())
        users = sketch.pack(sketch.hash_of(text) for (kind, text), _ in counts if kind == Kind.user)
        found = [
            Fact(
                account,
                Kind(kind),
                self._name if kind == Kind.named else text,
                *(c.n, c.first_at, c.last_at, c.last_offset),
                users if kind == Kind.all else b"",
            )
            for (kind, text), c in counts
        ]
        return bounded(sorted(found, key=lambda fact: fact.place))


def bounded(facts: Iterable[Fact]) -> list[Fact]:
    """
    At most MOST_OF_A_KIND of each kind.

    facts  of one account, in the order of `Fact.place`
    """
    found: list[Fact] = []
    for kind, group in groupby(facts, key=lambda fact: fact.kind):
        some = list(group)
        if len(some) > MOST_OF_A_KIND:
            some.sort(key=lambda f: f.last_offset if kind is Kind.user else f.n, reverse=True)
            some = sorted(some[:MOST_OF_A_KIND], key=lambda fact: fact.text)
        found += some
    return found


def merged(facts: Iterable[Fact]) -> Iterator[Fact]:
    """
    One for each account, kind and text; of several group calls the newest one with a name gives the name.

    facts  in the order of `Fact.place`
    """
    for _, group in groupby(facts, key=_group):
        yield _sum(list(group))


def _group(fact: Fact) -> tuple[str, int, str]:
    return (fact.account, fact.kind, "") if fact.kind is Kind.named else fact.place


def _sum(facts: list[Fact]) -> Fact:
    first = facts[0]
    if len(facts) == 1:
        return first
    newest = max(facts, key=lambda fact: fact.last_offset)
    text = first.text
    if first.kind is Kind.named:
        text = max(facts, key=lambda fact: (fact.text != "", fact.last_offset)).text
    users = b""
    if first.kind is Kind.all:
        users = sketch.pack(hash_ for fact in facts for hash_ in sketch.unpack(fact.users))
    return Fact(
        first.account,
        first.kind,
        text,
        sum(fact.n for fact in facts),
        min(fact.first_at for fact in facts),
        max(fact.last_at for fact in facts),
        newest.last_offset,
        users,
    )
