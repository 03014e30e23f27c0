"""Accounts, and the modules and activities that were seen: what the index of the log knows."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from milonga.api import paging, shapes
from milonga.api.problem import not_found
from milonga.api.route import USUAL, Asked, Count, Cursor, Listed, Route, Told
from milonga.facts.accounts import NEWEST, finding_row, findings, gone_astray, standing_row, standings
from milonga.facts.filed import at_its_places, find_all
from milonga.facts.indexed import advice_row, as_row, in_full, index_of, lag, name_row, without_account_row
from milonga.facts.search import Wanted
from milonga.facts.summary import ends_of
from milonga.index.advice import advice
from milonga.index.catalogue import Catalogue, Names
from milonga.index.index import made_here
from milonga.index.news import DAY
from milonga.workspace.commands import milliseconds
from milonga.workspace.roles import Role

Place = Annotated[int, Meta(ge=0, le=2**62)]
Text = Annotated[str, Meta(max_length=1_000)]

UNKNOWN: Final = "No event has named this account, as far as is remembered. Ids are case-sensitive."


class AccountsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Those last heard of first. text: any part of id or name, in whatever case; unnamed: those that no group call named.
    A page may hold few, or none, while there is more.
    """

    text: Text = ""
    unnamed: bool = False
    count: Count = USUAL
    cursor: Cursor = ""


class AccountQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one account, by its id exactly."""

    id: Annotated[str, Meta(min_length=1, max_length=32 * 1024)]


class NamesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one source, or of all."""

    source: str | None = None


class WithoutQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one source, or of all; of so many days until now, by whole hours."""

    source: str | None = None
    days: Annotated[int, Meta(ge=1, le=400)] = 7


def list_accounts(asked: Asked[AccountsQuery, None]) -> Listed:
    query = asked.query
    before = paging.place(query.cursor, Place)
    with index_of(asked.reading.path) as index:
        found = index.accounts(query.text.strip(), query.count, unnamed=query.unnamed, before=before)
    next_ = None if found.before is None else paging.cursor(found.before)
    return Listed([as_row(one) for one in found.accounts], next_, lag(found.standing))


def show_account(asked: Asked[AccountQuery, None]) -> Told:
    with index_of(asked.reading.path) as index:
        found, standing = index.account(asked.query.id), index.standing
    if found is None:
        raise not_found(UNKNOWN)
    return Told(in_full(found), lag(standing))


def stand(asked: Asked[AccountQuery, None]) -> Told:
    facts, id_, path = asked.facts, asked.query.id, asked.reading.path
    with index_of(path) as index:
        account, standing = index.account(id_), index.standing
        astray = [] if account is None else gone_astray(index, account)
    if account is None:
        raise not_found(UNKNOWN)
    newest = find_all(facts, Wanted(account=id_), NEWEST, index=made_here(path))
    stand = standings(facts, newest.events, at_its_places(ends_of(facts, newest.events), newest.filed))
    found_out = findings(facts, account, newest, stand, astray, milliseconds())
    found = {
        "account": account.id,
        "findings": [finding_row(one, id_) for one in found_out],
        "looked": len(newest.events),
        "destinations": [standing_row(one) for one in stand],
    }
    return Told(found, lag(standing))


def list_modules(asked: Asked[NamesQuery, None]) -> Listed:
    found = _catalogue(asked)
    return _names(found.modules, found)


def list_activities(asked: Asked[NamesQuery, None]) -> Listed:
    found = _catalogue(asked)
    return _names(found.activities, found)


def advise(asked: Asked[NamesQuery, None]) -> Told:
    found = _catalogue(asked)
    return Told([advice_row(one) for one in advice(found.modules, found.activities)], lag(found.standing))


def count_without(asked: Asked[WithoutQuery, None]) -> Told:
    now, source = milliseconds(), _source(asked, asked.query.source)
    with index_of(asked.reading.path) as index:
        found = index.without_account(now - asked.query.days * DAY, now, source)
    return Told(without_account_row(found), lag(found.standing))


def _catalogue(asked: Asked[NamesQuery, None]) -> Catalogue:
    source = _source(asked, asked.query.source)
    with index_of(asked.reading.path) as index:
        return index.catalogue(source)


def _source(asked: Asked[Any, None], name: str | None) -> int | None:
    return None if name is None else asked.workspace.sources.named(name).id


def _names(names: Names, found: Catalogue) -> Listed:
    more = {"names": names.count, "otherEvents": names.others}
    return Listed([name_row(one) for one in names.shown], None, lag(found.standing), more)


ROUTES: Final = (
    Route(
        method="GET",
        path="/accounts",
        role=Role.viewer,
        name="listAccounts",
        summary="Find accounts, those last heard of first.",
        query=AccountsQuery,
        answer=shapes.Account,
        listed=True,
        handle=list_accounts,
    ),
    Route(
        method="GET",
        path="/account",
        role=Role.viewer,
        name="getAccount",
        summary="One account, by id: its users, modules and activities, as far as the log goes back.",
        query=AccountQuery,
        answer=shapes.AccountInFull,
        handle=show_account,
    ),
    Route(
        method="GET",
        path="/account/standing",
        role=Role.viewer,
        name="getAccountStanding",
        summary="Whether something is wrong with an account, in words, and what became of its newest events.",
        query=AccountQuery,
        answer=shapes.AccountStanding,
        handle=stand,
        slow=True,
    ),
    Route(
        method="GET",
        path="/modules",
        role=Role.viewer,
        name="listModules",
        summary="The modules that were seen, the most frequent first.",
        query=NamesQuery,
        answer=shapes.SeenName,
        listed=True,
        pagination=shapes.NamesPagination,
        handle=list_modules,
    ),
    Route(
        method="GET",
        path="/activities",
        role=Role.viewer,
        name="listActivities",
        summary="The activities that were seen, the most frequent first.",
        query=NamesQuery,
        answer=shapes.SeenName,
        listed=True,
        pagination=shapes.NamesPagination,
        handle=list_activities,
    ),
    Route(
        method="GET",
        path="/advice",
        role=Role.viewer,
        name="getAdvice",
        summary="What practice says about the names of modules and activities.",
        query=NamesQuery,
        answer=list[shapes.Advice],
        handle=advise,
    ),
    Route(
        method="GET",
        path="/counts/without-account",
        role=Role.viewer,
        name="countWithoutAccount",
        summary="Events without an account, and how many of them a group call could have given one.",
        query=WithoutQuery,
        answer=shapes.WithoutAccount,
        handle=count_without,
    ),
)
