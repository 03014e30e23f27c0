"""Write keys, as rows and in words."""

import re
from collections.abc import Iterable
from typing import Any, Final

from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds
from milonga.workspace.keys import WriteKey

UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}  #: milliseconds
_SPAN: Final = re.compile(r"([0-9]{1,6})([mhd])")


def span(text: str) -> int:
    """Milliseconds: `14d`, `36h`, `90m`, `0`. ValueError if it is none."""
    text = text.strip()
    if text in ("0", "now"):
        return 0
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError("Write it like 14d, 36h, 90m, or 0 for now.")
    return int(found[1]) * UNITS[found[2]]


def in_words(milliseconds: int) -> str:
    """A span in the largest unit that shows it as 2 or more: `13 days`, `36 hours`, `5 minutes`."""
    for unit, word in ((UNITS["d"], "days"), (UNITS["h"], "hours"), (UNITS["m"], "minutes")):
        if milliseconds >= 2 * unit:
            return f"{milliseconds // unit:,} {word}"
    return "1 minute"


def as_row(one: WriteKey, now: int) -> dict[str, Any]:
    """now  unix milliseconds"""

    def moment(at: int | None) -> str | None:
        return None if at is None else instant(at)

    return {
        "writeKey": one.key,
        "createdAt": moment(one.created_at),
        "endsAt": moment(one.ends_at),
        "usedAt": moment(one.used_at),
        "inForce": not one.has_ended(now),
    }


def end_of(one: WriteKey, now: int) -> str:
    """In words."""
    if one.ends_at is None:
        return "never ends"
    return f"{'ended' if one.has_ended(now) else 'ends'} {instant(one.ends_at)}"


def key_warnings(name: str, keys: Iterable[WriteKey], now: int | None = None) -> list[str]:
    """
    What is about to go wrong: keys that end although something sends with them.

    name  of the source
    now   unix milliseconds; default: the clock's
    """
    at = milliseconds() if now is None else now
    return [
        f"Write key {one.key} of {name} {ending(one, at)}: change what sends with it over to the newest, or give it "
        f"more time: milonga sources keys end {name} {one.key} --in 14d"
        for one in keys
        if one.ends_in_use(at)
    ]


def ending(one: WriteKey, now: int) -> str:
    """Of a key that ends in use: `ends in 3 days, and was used 5 minutes ago`."""
    return f"{_ends(one, now)}, and was used {in_words(now - (one.used_at or 0))} ago"


def _ends(one: WriteKey, now: int) -> str:
    at = one.ends_at or 0
    return f"ended {in_words(now - at)} ago" if at <= now else f"ends in {in_words(at - now)}"
