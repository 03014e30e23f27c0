"""
Cursors: where a page ended, for whoever asks for the next one. Opaque to him, and worth nothing: a cursor says from
where to go on and no more, so it needs no seal. Pure.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UnsetType

from milonga.api.problem import Problem
from milonga.api.route import Listed
from milonga.spec.stored import Stamped

T = TypeVar("T")
K = TypeVar("K")

LARGEST: Final = 2**62  #: number in a cursor; a database takes no larger one

EVENTS: Final = 2 * 1024 * 1024
"""Bytes of the events that one page tells as a whole. As objects they take up to thirty times as much, and 1,000 of the
largest would be 30 MB to begin with."""

_BAD: Final = "This is no cursor of this list. Take it from `pagination.next` of the page before, or leave it out."


def cursor(where: object) -> str:
    """Of a place in a list: JSON-able, such as (time, number)."""
    return urlsafe_b64encode(msgspec.json.encode(where)).rstrip(b"=").decode()


def place(given: str, type_: type[K]) -> K | None:
    """The other way round; None if there is none: from the beginning. A Problem for what no page gave."""
    if not given:
        return None
    try:
        raw = urlsafe_b64decode(given.encode("ascii") + b"=" * (-len(given) % 4))
        found = msgspec.json.decode(raw, type=type_)
    except (ValueError, UnicodeError, msgspec.MsgspecError, RecursionError):
        raise bad() from None
    numbers = found if isinstance(found, tuple) else (found,)
    if any(isinstance(one, int) and abs(one) > LARGEST for one in numbers):
        raise bad()
    return found


def bad() -> Problem:
    return Problem(422, "invalid_query", f"cursor: {_BAD}", field="cursor")


def page(
    found: Sequence[T],
    count: int,
    where: Callable[[T], object],
    row: Callable[[T], Any],
    notes: Iterable[str] = (),
) -> Listed:
    """
    found  of what follows the cursor, one more than `count` if there is more
    where  of one of them, as `place` gives it back
    """
    shown = found[:count]
    more = len(found) > count
    return Listed([row(one) for one in shown], cursor(where(shown[-1])) if more and shown else None, list(notes))


def whole(events: Iterable[Stamped | None]) -> int:
    """How many of these one page tells as a whole: one at least, if there is one. None: it is not there any more."""
    size = n = 0
    for one in events:
        size += 0 if one is None else _size(one)
        if n and size > EVENTS:
            break
        n += 1
    return n


def _size(one: Stamped) -> int:
    """What its batch says for all is told of each."""
    said = (one.stamp.batch_context, one.stamp.batch_integrations)
    return len(one.body) + sum(len(bytes(part)) for part in said if not isinstance(part, UnsetType))


def of_all(
    things: Iterable[T],
    where: Callable[[T], tuple[int, int]],
    given: str,
    count: int,
    row: Callable[[T], Any],
    notes: Iterable[str] = (),
) -> Listed:
    """A page of things that are all in memory, in the order of a place that no two share."""
    last = place(given, tuple[int, int])
    found = sorted((one for one in things if last is None or where(one) > last), key=where)
    return page(found[: count + 1], count, where, row, notes)
