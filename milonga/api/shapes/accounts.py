"""Accounts, and the names of modules and activities."""

from typing import Literal

from msgspec import Struct

from milonga.api.shapes.common import Moment, Position


class Account(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom events belong to. name: that a group call gave; lastGroupAt: null if none named it, as far as remembered."""

    account: str
    name: str | None
    first_at: Moment
    last_at: Moment
    last_group_at: Moment | None


class Usage(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user, module or activity of an account."""

    name: str
    events: int
    first_at: Moment
    last_at: Moment


class AccountInFull(Account, frozen=True, kw_only=True, rename="camel"):
    """As far as the log goes back. usersExact: false where `users` is about so many; lists have 100 at most."""

    events: int
    users: int
    users_exact: bool
    newest_users: list[Usage]
    modules: list[Usage]
    activities: list[Usage]
    types: dict[str, int]


class Finding(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    Something to know of an account: that needs somebody now (bad) or soon (warn), or is good to know (info). page: of
    the console, where the next step is.
    """

    severity: Literal["bad", "warn", "info", "good"]
    title: str
    words: str
    page: str | None


class AccountEnd(Struct, frozen=True, kw_only=True, rename="camel"):
    """So many of its newest events stand so at a destination; why in words, "" if there is nothing to say."""

    state: str
    code: str
    events: int
    why: str


class AccountAt(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    How its newest events stand at one destination. lastDeliveredAt: when it took one of them last, which may be long
    after that arrived; newestDelivered: where the newest of those lies. Null if none was delivered.
    """

    destination: str
    ends: list[AccountEnd]
    problems: int
    last_delivered_at: Moment | None
    newest_delivered: Position | None


class AccountStanding(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether something is wrong with an account, the worst first. looked: so many of its newest events."""

    account: str
    findings: list[Finding]
    looked: int
    destinations: list[AccountAt]


class SeenName(Struct, frozen=True, kw_only=True, rename="camel"):
    """A module or an activity. days: events of the last 14 days (UTC), today last; accounts: how many had it."""

    name: str
    events: int
    days: list[int]
    first_at: Moment
    last_at: Moment
    accounts: int
    accounts_exact: bool


class Advice(Struct, frozen=True, kw_only=True):
    """about: modules or activities; names: examples; count: of how many names it is true."""

    code: str
    about: str
    title: str
    words: str
    names: list[str]
    count: int


class NameableExample(Struct, frozen=True, kw_only=True, rename="camel"):
    """An event without account, and the earlier group call of its user."""

    event: Position
    group_call: Position


class WithoutAccount(Struct, frozen=True, kw_only=True, rename="camel"):
    """nameable: those whose user an earlier group call had put into an account."""

    events: int
    with_user: int
    nameable: int
    examples: list[NameableExample]
