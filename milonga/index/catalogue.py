"""Which modules and activities there are, how often, and in how many accounts."""

from collections.abc import Sequence
from typing import Final

import apsw
from msgspec import Struct

from milonga.index import sketch
from milonga.index.memory import OTHERS
from milonga.index.news import ACTIVITY, DAY, EXAMPLES, HOUR, MODULE
from milonga.index.rows import rows
from milonga.index.standing import Standing

DAYS: Final = 14
MOST_SHOWN: Final = 100  #: of a kind


class Named(Struct, frozen=True):
    """
    A module or an activity.

    n               events since it is counted, up to 400 days
    days            events of each of the last DAYS days (UTC), today last
    first_at, last_at  unix milliseconds
    accounts        in how many it was seen; `accounts_exact` False: about
    """

    text: str
    n: int
    days: list[int]
    first_at: int
    last_at: int
    accounts: int
    accounts_exact: bool


class Names(Struct, frozen=True):
    """
    shown    most frequent first
    count    of different ones, those that are not shown included
    others   events of names beyond those that are told apart
    """

    shown: list[Named]
    count: int
    others: int


class Catalogue(Struct, frozen=True):
    """today  the last of `Named.days`, as days since 1970"""

    modules: Names
    activities: Names
    today: int
    standing: Standing


def names(memory: apsw.Connection, kind: int, today: int, source: int | None, most: int = MOST_SHOWN) -> Names:
    where, values = ("", ()) if source is None else (" AND source = ?", (source,))
    totals = rows(
        memory,
        "SELECT text, sum(n), min(first_at), max(last_at) FROM name"  # noqa: S608
        f" WHERE kind = ?{where} GROUP BY text ORDER BY 2 DESC, 1",
        (kind, *values),
    )
    others = sum(row[1] for row in totals if row[0] == OTHERS)
    wanted = [row for row in totals if row[0] != OTHERS]
    sketches, days = _of_names(memory, kind, [row[0] for row in wanted[:most]], today - DAYS, source)
    shown = []
    for text, n, first_at, last_at in wanted[:most]:
        hashes = sketch.smallest(set[int]().union(*sketches[text]))
        by_day = [days.get((text, day), 0) for day in range(today - DAYS + 1, today + 1)]
        shown.append(Named(text, n, by_day, first_at, last_at, sketch.about(hashes), sketch.is_exact(hashes)))
    return Names(shown, len(wanted), others)


def _of_names(
    memory: apsw.Connection, kind: int, texts: Sequence[str], after: int, source: int | None
) -> tuple[dict[str, list[Sequence[int]]], dict[tuple[str, int], int]]:
    """text -> the sketches of its accounts, one of each source; (text, day) -> events, of the days after this one."""
    where = f"kind = ? AND text IN ({', '.join('?' * len(texts))})"
    values: list[int | str] = [kind, *texts]
    if source is not None:
        where, values = f"{where} AND source = ?", [*values, source]
    sketches: dict[str, list[Sequence[int]]] = {}
    for text, packed in rows(memory, f"SELECT text, accounts FROM name WHERE {where}", values):  # noqa: S608
        sketches.setdefault(text, []).append(sketch.unpack(packed))
    counted = f"SELECT text, day, sum(n) FROM day WHERE {where} AND day > ? GROUP BY text, day"  # noqa: S608
    return sketches, {(text, day): n for text, day, n in rows(memory, counted, (*values, after))}


def catalogue(memory: apsw.Connection | None, now: int, source: int | None, standing: Standing) -> Catalogue:
    """now  unix milliseconds"""
    today, none = now // DAY, Names([], 0, 0)
    if memory is None:
        return Catalogue(none, none, today, standing)
    modules, activities = (names(memory, kind, today, source) for kind in (MODULE, ACTIVITY))
    return Catalogue(modules, activities, today, standing)


class Example(Struct, frozen=True):
    """offset of an event without account, and of the group call that had named one for its user"""

    offset: int
    group: int


class WithoutAccount(Struct, frozen=True):
    """
    Events of the kind that Totango skips for want of an account: identify, track and page.

    events     without an account
    with_user  of them, those that have a user
    nameable   of them, those whose user an earlier group call had put into an account, as far as the log goes back
    examples   newest first
    """

    events: int
    with_user: int
    nameable: int
    examples: list[Example]
    standing: Standing


def without_account(
    memory: apsw.Connection | None, since: int, until: int, source: int | None, standing: Standing
) -> WithoutAccount:
    """since, until  unix milliseconds of arrival; whole hours count"""
    if memory is None:
        return WithoutAccount(0, 0, 0, [], standing)
    where, values = ("", ()) if source is None else (" AND source = ?", (source,))
    events, with_user, nameable = rows(
        memory,
        "SELECT ifnull(sum(events), 0), ifnull(sum(with_user), 0), ifnull(sum(nameable), 0) FROM unnamed"  # noqa: S608
        f" WHERE hour >= ? AND hour <= ?{where}",
        (since // HOUR, (until - 1) // HOUR, *values),
    )[0]
    found = rows(
        memory,
        f"SELECT offset, named FROM example WHERE 1{where} ORDER BY offset DESC LIMIT {EXAMPLES}",  # noqa: S608
        values,
    )
    return WithoutAccount(events, with_user, nameable, [Example(*row) for row in found], standing)
