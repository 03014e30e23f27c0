"""What is known of accounts: one in detail, as far as the log goes, and the list of all that are remembered."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import apsw
from msgspec import Struct

from milonga.eventlog.api import START, Offset
from milonga.eventlog.aside import UNREADABLE
from milonga.index.facts import AccountFacts, Count, Kind
from milonga.index.files import Piece
from milonga.index.memory import folded
from milonga.index.standing import Standing
from milonga.index.terms import filed

MOST_SHOWN: Final = 100  #: users, modules, activities of one account
BUDGET: Final = 0.08  #: seconds after which a search for accounts stops
WINDOW: Final = 10_000  #: accounts looked at between two looks at the clock


class Usage(Struct, frozen=True):
    """
    One user, module, activity or type of event of an account.

    n                  events
    first_at, last_at  unix milliseconds
    """

    text: str
    n: int
    first_at: int
    last_at: int


class Account(Struct, frozen=True, kw_only=True):
    """
    One account, as far as the log still holds its events; `first_at`, `last_at` and the group call may be older.

    name             that a group call gave; "" without
    first_at, last_at, named_at  unix milliseconds: first and last event, last group call (None: never, as far as known)
    last_offset, named_offset  of the newest event and of the last group call
    events           in the log
    users            how many different ones; `users_exact` False: about
    newest_users     newest first, at most MOST_SHOWN
    modules, activities, types  most frequent first, likewise
    """

    id: str
    name: str
    first_at: int
    last_at: int
    last_offset: Offset
    named_at: int | None
    named_offset: Offset = START
    events: int = 0
    users: int = 0
    users_exact: bool = True
    newest_users: list[Usage] = []
    modules: list[Usage] = []
    activities: list[Usage] = []
    types: list[Usage] = []


class Accounts(Struct, frozen=True):
    """
    accounts     those last seen first
    before       pass it on to go on from here; None: there are no more
    is_complete  False: the list may hold fewer than asked for because looking on would have taken too long
    """

    accounts: list[Account]
    before: Offset | None
    is_complete: bool
    standing: Standing


def account(id_: str, pieces: Iterable[Piece], memory: apsw.Connection | None) -> Account | None:
    """None if it is neither in the log nor remembered."""
    id_ = filed(id_)
    facts = AccountFacts()
    for piece in pieces:
        try:
            for one in piece.facts_of(id_):
                facts.merge(one)
        except UNREADABLE:
            piece.cannot_be_read()
    remembered = None if memory is None else _remembered(memory, id_)
    if facts.all is None:
        return remembered
    named, (users, users_exact) = facts.named, facts.users()
    return Account(
        id=id_,
        name=facts.name or (remembered.name if remembered else ""),
        first_at=facts.all.first_at if remembered is None else min(facts.all.first_at, remembered.first_at),
        last_at=facts.all.last_at,
        last_offset=facts.all.last_offset,
        named_at=named.last_at if named else (remembered.named_at if remembered else None),
        named_offset=named.last_offset if named else (remembered.named_offset if remembered else START),
        events=facts.all.n,
        users=users,
        users_exact=users_exact,
        newest_users=_usages(facts, Kind.user, lambda count: count.last_offset),
        modules=_usages(facts, Kind.module, lambda count: count.n),
        activities=_usages(facts, Kind.activity, lambda count: count.n),
        types=_usages(facts, Kind.type, lambda count: count.n),
    )


def _usages(facts: AccountFacts, kind: Kind, most: Callable[[Count], int]) -> list[Usage]:
    found = sorted(facts.of(kind), key=lambda one: (-most(one[1]), one[0]))[:MOST_SHOWN]
    return [Usage(text, count.n, count.first_at, count.last_at) for text, count in found]


_COLUMNS: Final = "id, name, first_at, last_at, last_offset, named_at, named_offset"


def _remembered(memory: apsw.Connection, id_: str) -> Account | None:
    row = memory.execute(f"SELECT {_COLUMNS} FROM account WHERE id = ?", (id_,)).fetchone()  # noqa: S608
    return None if row is None else _account(row)


def _account(row: tuple[Any, ...]) -> Account:
    id_, name, first_at, last_at, last_offset, named_at, named_offset = row
    return Account(
        id=id_,
        name=name,
        first_at=first_at,
        last_at=last_at,
        last_offset=last_offset,
        named_at=named_at or None,
        named_offset=named_offset,
    )


def accounts(
    memory: apsw.Connection,
    text: str,
    limit: int,
    *,
    unnamed: bool = False,
    before: Offset = 2**62,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[list[Account], Offset | None, bool]:
    """
    As `Accounts` has it.

    text     in the id or the name, in whatever case; "" for all
    unnamed  only those that no group call has named
    """
    wanted, found, deadline = folded(text, "").rstrip("\n"), list[Account](), clock() + BUDGET
    where = "AND named_at = 0" if unnamed else ""
    page = (
        f"SELECT {_COLUMNS} FROM account WHERE last_offset < ? AND last_offset >= ? {where}"  # noqa: S608
        " AND (?3 = '' OR instr(folded, ?3)) ORDER BY last_offset DESC LIMIT ?4"
    )
    window = (
        "SELECT min(last_offset) FROM (SELECT last_offset FROM account"  # noqa: S608
        f" WHERE last_offset < ? {where} ORDER BY last_offset DESC LIMIT ?)"
    )
    while (least := memory.execute(window, (before, WINDOW)).get) is not None:
        rows = memory.execute(page, (before, least, wanted, limit + 1 - len(found))).fetchall()
        found += [_account(row) for row in rows]
        if len(found) > limit:
            return found[:limit], found[limit - 1].last_offset, True
        before = least
        if clock() > deadline:
            return found, before, False
    return found, None, True
