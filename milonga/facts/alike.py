"""Accounts that somebody may mean who typed a name, or a part of an id, where an id is asked for."""

from typing import Final

from milonga.index.accounts import Account
from milonga.index.index import EventIndex

MOST: Final = 5
LONGEST: Final = 200  #: characters that are looked for


def alike(index: EventIndex, id_: str) -> list[Account]:
    """Others than this one, those last heard of first."""
    text = id_.strip()[:LONGEST]
    return [one for one in index.accounts(text, MOST).accounts if one.id != id_] if text else []


def perhaps(found: list[Account]) -> str:
    """In words; "" of none."""
    return f"\nPerhaps you mean {' or '.join(map(_called, found))}." if found else ""


def _called(one: Account) -> str:
    return f"{one.id!r} ({one.name})" if one.name and one.name != one.id else repr(one.id)
