"""
The events that wait behind parked keys, page by page, line after line and each line in its own order. Reads only. An
event that stands in several lines is found in one of them: that of the first of its keys that was asked for.
"""

from typing import Any, Final, NamedTuple

from msgspec import Struct

from milonga.delivery.rows import Parked, key_of, key_text
from milonga.delivery.store_reader import PARKED_COLUMNS, DeliveryReader, keys_of_account, parked_of
from milonga.destinations.contract import Key

LAST: Final = "\U0010ffff"  #: behind every key


class LineMark(NamedTuple):
    """Behind a place in a line: key as it stands in the file."""

    key: str
    place: int


class Waiting(Struct, frozen=True, kw_only=True):
    """
    mark      its place in the line in which it was found
    key       of that line
    attempts, code, reason  of its tries; 0 and "" if there was none
    next_at   unix milliseconds: not before; 0: nothing but its turn is waited for
    """

    mark: LineMark
    key: Key
    parked: Parked
    attempts: int
    code: str
    reason: str
    next_at: int


class WaitingPage(Struct, frozen=True):
    """next: where the next page begins; None if there is none. It may hold few, or none, while there is more."""

    events: list[Waiting]
    next: LineMark | None


_LINES: Final = f"""
SELECT key, place, g.attempts, g.code, g.reason, max(g.next_at, g.not_before), {PARKED_COLUMNS}
FROM parked_lines CROSS JOIN parked USING(destination, partition, offset)
LEFT JOIN progress g USING(destination, partition, offset)
WHERE destination = ? AND (key, place) > (?, ?) AND key <= ? ORDER BY key, place LIMIT ?
"""  # noqa: S608 - names of columns


def parked_events(
    reader: DeliveryReader,
    destination: int,
    *,
    account: str | None = None,
    key: Key | None = None,
    beyond: LineMark | None = None,
    limit: int,
) -> WaitingPage:
    """
    account  only behind keys that begin with it
    key      only behind this one
    beyond   a page's `next`; None: from the beginning
    limit    places that are looked at
    """
    found, looked, mark = list[Waiting](), 0, beyond
    for begin, end in _spans(account, key):
        if mark is not None and mark.key > end:
            continue
        after = LineMark(begin, -1) if mark is None else max(mark, LineMark(begin, -1))
        for text, place, *row in list(reader.rows(_LINES, (destination, *after, end, limit - looked))):
            mark, looked = LineMark(text, place), looked + 1
            one = _waiting(mark, *row)
            if one.key == next((each for each in one.parked.keys if _fits(each, account, key)), one.key):
                found.append(one)
        if looked == limit:
            return WaitingPage(found, mark)
    return WaitingPage(found, None)


def _spans(account: str | None, key: Key | None) -> list[tuple[str, str]]:
    """From which key, as text, to which; both included."""
    if key is not None:
        return [(key_text(key), key_text(key))]
    return [("", LAST)] if account is None else keys_of_account(account)


def _fits(one: Key, account: str | None, key: Key | None) -> bool:
    return one == key if key is not None else account in (None, one[0])


def _waiting(
    mark: LineMark, attempts: int | None, code: str | None, reason: str | None, next_at: int | None, *row: Any
) -> Waiting:
    return Waiting(
        mark=mark,
        key=key_of(mark.key),
        parked=parked_of(*row),
        attempts=attempts or 0,
        code=code or "",
        reason=reason or "",
        next_at=next_at or 0,
    )
