"""Values as text: Totango's parameters know nothing else. See docs/totango.md, "Values"."""

from json.encoder import encode_basestring
from typing import Any, Final

from milonga.destinations.totango.dates import iso_date
from milonga.spec.text import well_formed
from milonga.spec.values import number_text

UNDATED: Final = frozenset({"plan", "Status", "parent_id", "product_id"})
"""Attributes whose text is never taken for a date, even if it looks like one."""


def cut(text: str, limit: int) -> str:
    """At most `limit` code points, and no lone surrogates."""
    return well_formed(text if len(text) <= limit else text[:limit])


def value_text(value: Any, limit: int, *, dates: bool = True) -> str | None:
    """
    The value of an attribute, cut at `limit` code points. None if there is nothing to send: null, NaN, an object
    (which becomes several attributes), an empty list or one of nulls, JSON beyond the limit.

    dates  whether ISO dates are rewritten
    """
    if isinstance(value, str):
        return cut((iso_date(value) if dates else None) or value, limit)
    plain = _plain(value)
    if plain is not None:
        return cut(plain, limit)
    return _list_text(value, limit, dates=dates) if isinstance(value, list) else None


def _plain(value: Any) -> str | None:
    if value is True:
        return "true"
    if value is False:
        return "false"
    return number_text(value) if isinstance(value, int | float) else None


def _list_text(items: list[Any], limit: int, *, dates: bool) -> str | None:
    if any(isinstance(item, dict | list) for item in items):
        return _json(items, limit, dates=dates)
    texts = []
    for item in items:
        text = ((iso_date(item) if dates else None) or item) if isinstance(item, str) else _plain(item)
        if text is not None:
            texts.append(text)
    return cut(",".join(texts), limit) if texts else None


class _TooLong(Exception):
    """The JSON would exceed the limit."""


def _json(value: Any, limit: int, *, dates: bool) -> str | None:
    """Compact JSON, UTF-8 unescaped; None beyond `limit` code points, since cut JSON cannot be read."""
    pieces: list[str] = []
    room = limit

    def put(piece: str) -> None:
        nonlocal room
        room -= len(piece)
        if room < 0:
            raise _TooLong
        pieces.append(piece)

    def open_with(bracket: str) -> None:
        nonlocal room
        put(bracket)
        room -= 1  # for the closing one: so the limit bounds the recursion as well, to half its number

    def write(value: Any) -> None:
        if isinstance(value, str):
            put(_quoted((iso_date(value) if dates else None) or value, room))
        elif isinstance(value, dict):
            open_with("{")
            for number, (key, item) in enumerate(value.items()):
                put(("," if number else "") + _quoted(key, room) + ":")
                write(item)
            pieces.append("}")
        elif isinstance(value, list):
            open_with("[")
            for number, item in enumerate(value):
                if number:
                    put(",")
                write(item)
            pieces.append("]")
        else:
            put(_plain(value) or "null")

    try:
        write(value)
    except _TooLong:
        return None
    return "".join(pieces)


def _quoted(text: str, room: int) -> str:
    if len(text) > room:
        raise _TooLong
    return encode_basestring(well_formed(text))
