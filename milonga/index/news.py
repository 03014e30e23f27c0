"""
What the newest events add to what is remembered of accounts, modules and activities, gathered until it is written
(milonga.index.memory).
"""

from hashlib import blake2b
from typing import Final

from msgspec import Struct, field

from milonga.eventlog.api import START, Offset
from milonga.index import sketch
from milonga.index.terms import Seen

MOST: Final = 50_000  #: events that are gathered
HOUR, DAY = 3_600_000, 86_400_000  #: milliseconds
ASKED: Final = frozenset(("identify", "track", "page"))  #: types that Totango skips for want of an account
EXAMPLES: Final = 100

MODULE, ACTIVITY = 2, 3  #: kinds of names, as in milonga.index.facts.Kind


class AccountNews(Struct):
    """
    named_offset  START if no group call named it
    name          "" if none gave one
    hash          of its id (milonga.index.sketch)
    """

    first_at: int
    last_at: int
    last_offset: Offset
    named_at: int = 0
    named_offset: Offset = START
    name: str = ""
    hash: int = 0


class NameNews(Struct):
    """days: day -> events; accounts: hashes"""

    first_at: int
    last_at: int
    last_offset: Offset
    days: dict[int, int] = field(default_factory=dict)
    accounts: set[int] = field(default_factory=set)


class Unnamed(Struct):
    """Events without an account: how many, how many of them had a user, and how many a user with a known account."""

    events: int = 0
    with_user: int = 0
    nameable: int = 0


class Asked(Struct, frozen=True):
    """An event without account whose user may be known from before. `hour`: since 1970; `user`: a digest."""

    offset: Offset
    hour: int
    source: int
    user: int


class News:
    """Of the events behind `upto`."""

    def __init__(self, salt: bytes, upto: Offset) -> None:
        self._salt = salt
        self.upto = upto
        self.events = 0
        self.accounts: dict[str, AccountNews] = {}
        self.names: dict[tuple[int, int, str], NameNews] = {}
        self.users: dict[int, Offset] = {}
        self.unnamed: dict[tuple[int, int], Unnamed] = {}
        self.asked: list[Asked] = []
        self.examples: list[tuple[Offset, int, Offset]] = []

    def add(self, seen: Seen) -> None:
        """Beyond all others."""
        self.upto = seen.offset
        self.events += 1
        hash_ = None
        if seen.account is not None:
            hash_ = self._add_account(seen.account, seen).hash
        elif seen.type in ASKED:
            self._add_unnamed(seen)
        if seen.activities:
            if seen.module is not None:
                self._add_name(MODULE, seen.module, seen, hash_)
            for activity in seen.activities:
                self._add_name(ACTIVITY, activity, seen, hash_)

    def skip(self, offset: Offset) -> None:
        self.upto = offset

    def _add_account(self, account: str, seen: Seen) -> AccountNews:
        news = self.accounts.get(account)
        if news is None:
            news = AccountNews(seen.at, seen.at, seen.offset, hash=sketch.hash_of(account))
            self.accounts[account] = news
        else:
            if seen.at > news.last_at:
                news.last_at = seen.at
            elif seen.at < news.first_at:
                news.first_at = seen.at
            news.last_offset = seen.offset
        if seen.named is not None:
            news.named_at, news.named_offset, news.name = seen.at, seen.offset, seen.named or news.name
            if seen.user is not None:
                self.users[self._digest(seen.user)] = seen.offset
        return news

    def _add_unnamed(self, seen: Seen) -> None:
        hour = seen.at // HOUR
        found = self.unnamed.get((hour, seen.source))
        if found is None:
            found = self.unnamed[hour, seen.source] = Unnamed()
        found.events += 1
        if seen.user is None:
            return
        found.with_user += 1
        user = self._digest(seen.user)
        if (named := self.users.get(user)) is not None:
            found.nameable += 1
            self.examples.append((seen.offset, seen.source, named))
            if len(self.examples) > 2 * EXAMPLES:
                del self.examples[:EXAMPLES]
        else:
            self.asked.append(Asked(seen.offset, hour, seen.source, user))

    def _add_name(self, kind: int, text: str, seen: Seen, account: int | None) -> None:
        key = (kind, seen.source, text)
        found = self.names.get(key)
        if found is None:
            found = self.names[key] = NameNews(seen.at, seen.at, seen.offset)
        at = seen.at
        if at > found.last_at:
            found.last_at = at
        elif at < found.first_at:
            found.first_at = at
        found.last_offset = seen.offset
        day = at // DAY
        found.days[day] = found.days.get(day, 0) + 1
        if account is not None:
            found.accounts.add(account)

    def _digest(self, user: str) -> int:
        """The file does not say who was named, and tells nothing to whom it is not shown."""
        return int.from_bytes(blake2b(user.encode(), digest_size=8, key=self._salt).digest(), "little", signed=True)
