"""What the index says of accounts, modules and activities, as rows for programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from milonga.index.accounts import Account, Usage
from milonga.index.advice import Advice
from milonga.index.catalogue import Named, WithoutAccount
from milonga.index.index import EventIndex, made_here
from milonga.index.standing import Standing
from milonga.outcomes.words import instant

EXAMPLES: Final = 10


@contextmanager
def index_of(data: Path) -> Iterator[EventIndex]:
    """
    The index of a data directory: the one that this process makes, or else its files, which know all but the newest
    events of a running console.
    """
    found = made_here(data)
    if found is not None:
        yield found
        return
    index = EventIndex(data)
    try:
        yield index
    finally:
        index.stop()


def lag(standing: Standing) -> list[str]:
    """In a sentence, if there is something to say."""
    if standing.trouble:
        return [f"The index does not get on: {standing.trouble}"]
    if standing.repairing:
        return [f"Parts of the log ({standing.repairing}) are looked through once more: what is in them is missing."]
    return [] if standing.is_fresh else [f"{standing.behind:,} events of the log are not in the index yet."]


def as_row(account: Account) -> dict[str, Any]:
    return {
        "account": account.id,
        "name": account.name or None,
        "firstAt": instant(account.first_at),
        "lastAt": instant(account.last_at),
        "lastGroupAt": None if account.named_at is None else instant(account.named_at),
    }


def in_full(account: Account) -> dict[str, Any]:
    return {
        **as_row(account),
        "events": account.events,
        "users": account.users,
        "usersExact": account.users_exact,
        "newestUsers": [_usage(one) for one in account.newest_users],
        "modules": [_usage(one) for one in account.modules],
        "activities": [_usage(one) for one in account.activities],
        "types": {one.text: one.n for one in account.types},
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "name": usage.text,
        "events": usage.n,
        "firstAt": instant(usage.first_at),
        "lastAt": instant(usage.last_at),
    }


def name_row(named: Named) -> dict[str, Any]:
    return {
        "name": named.text,
        "events": named.n,
        "days": named.days,
        "firstAt": instant(named.first_at),
        "lastAt": instant(named.last_at),
        "accounts": named.accounts,
        "accountsExact": named.accounts_exact,
    }


def advice_row(advice: Advice) -> dict[str, Any]:
    return {
        "code": advice.code,
        "about": advice.about,
        "title": advice.title,
        "words": advice.words,
        "names": advice.names,
        "count": advice.count,
    }


def without_account_row(found: WithoutAccount) -> dict[str, Any]:
    return {
        "events": found.events,
        "withUser": found.with_user,
        "nameable": found.nameable,
        "examples": [
            {"event": {"partition": 0, "offset": one.offset}, "groupCall": {"partition": 0, "offset": one.group}}
            for one in found.examples[:EXAMPLES]
        ],
    }
