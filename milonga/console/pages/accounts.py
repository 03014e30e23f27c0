"""Accounts: who there is, and how one of them stands."""

from typing import Any, Final

from starlette.responses import Response

from milonga.console.links import position_of, to_account, to_event
from milonga.console.searching import PAGE, as_parameter, event_rows, of_account
from milonga.console.table import shows
from milonga.console.visit import Visit, address
from milonga.eventlog.api import Position
from milonga.facts.accounts import NEWEST, findings, gone_astray, standings
from milonga.facts.facts import Facts
from milonga.facts.filed import at_its_places
from milonga.facts.summary import ends_of
from milonga.index.accounts import Account
from milonga.index.index import EventIndex
from milonga.index.news import DAY
from milonga.index.search import Query
from milonga.workspace.commands import milliseconds

SHOWN: Final = 10  #: users, modules and activities before one asks for more
WEEK: Final = 7 * DAY


def accounts(visit: Visit) -> Response:
    text, unnamed = visit.text("q").strip(), bool(visit.text("unnamed"))
    index, now = visit.services.index, milliseconds()
    found = index.accounts(text, PAGE, unnamed=unnamed, before=visit.number("before", 0, 0, 2**62) or None)
    values: dict[str, Any] = {
        "text": text,
        "unnamed": unnamed,
        "found": found,
        "standing": found.standing,
        "without": index.without_account(now - WEEK, now),
        "to_account": to_account,
        "to_event": to_event,
    }
    return visit.page("accounts/list.html", values)


def account(visit: Visit) -> Response:
    id_, index = visit.text("id", 100_000), visit.services.index
    if not id_:
        return visit.go("/accounts")
    found = index.account(id_)
    with visit.facts() as facts:
        if found is None:
            return _unknown(visit, facts, index, id_)
        return visit.page("accounts/account.html", _about(visit, facts, index, id_, found))


def _about(visit: Visit, facts: Facts, index: EventIndex, id_: str, found: Account) -> dict[str, Any]:
    now, place = milliseconds(), position_of(visit.text("before"))
    query = Query(account=id_)
    newest = of_account(facts, query, index.search(query, NEWEST), NEWEST)
    page = newest if place is None else of_account(facts, query, index.search(query, PAGE, place), PAGE, place)
    ends = ends_of(facts, newest.events)
    stand = standings(facts, newest.events, at_its_places(ends, newest.filed))
    shown, older = page.events[:PAGE], page.before
    if len(page.events) > PAGE:
        older = shown[-1].position.offset
    if place is not None:
        ends = ends_of(facts, shown)
    return {
        "id": id_,
        "account": found,
        "findings": findings(facts, found, newest, stand, gone_astray(index, found), now),
        "standings": stand,
        "looked": len(newest.events),
        "rows": event_rows(facts, shown, ends, page.filed),
        "older": as_parameter(None if older is None else Position(0, older)),
        "is_first": place is None,
        "standing": index.standing,
        "since": facts.log.since(),
        "shown": SHOWN,
        "to_event": to_event,
        "to_search": lambda **more: address("/events", account=id_, **more),
        "to_letters": lambda name: address("/problems/dead", destination=name, account=id_),
        "to_parked": lambda name: address("/problems/parked", destination=name, account=id_),
        "to_user": lambda user: address("/events", user=user),
    }


def _unknown(visit: Visit, facts: Facts, index: EventIndex, id_: str) -> Response:
    alike = index.accounts(id_.strip()[:200], 5)
    values = {
        "id": id_,
        "alike": alike.accounts,
        "standing": alike.standing,
        "since": facts.log.since(),
        "without": index.without_account(milliseconds() - WEEK, milliseconds()),
        "to_account": to_account,
    }
    return visit.page("accounts/unknown.html", values, status=404)


PAGES = [shows("/accounts", accounts), shows("/account", account)]
