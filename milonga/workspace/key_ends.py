"""Write keys that end although something sends with them, in words: for the overview, alerts and warnings. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from milonga.workspace.audit import key_shown
from milonga.workspace.keys import WriteKey

UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}  #: milliseconds


def ending_soon(keys: Iterable[WriteKey], now: int) -> Iterator[str]:
    """
    Of each: `abcd… ends in 2 days, and was used 5 minutes ago`. The overview and the alert `write_key` both go by this.

    now  unix milliseconds
    """
    return (f"{key_shown(one.key)} {ending(one, now)}" for one in keys if one.ends_soon_in_use(now))


def ending_later(keys: Iterable[WriteKey], now: int) -> Iterator[str]:
    """The same of those that are exchanged as planned: there is time to change over what sends with them."""
    later = (one for one in keys if one.ends_in_use(now) and not one.ends_soon_in_use(now))
    return (f"{key_shown(one.key)} {ending(one, now)}" for one in later)


def ending(one: WriteKey, now: int) -> str:
    """Of a key that ends in use: `ends in 3 days, and was used 5 minutes ago`."""
    return f"{_ends(one, now)}, and was used {in_words(now - (one.used_at or 0))} ago"


def in_words(milliseconds: int) -> str:
    """A span in the largest unit that shows it as 2 or more: `13 days`, `36 hours`, `5 minutes`."""
    for unit, word in ((UNITS["d"], "days"), (UNITS["h"], "hours"), (UNITS["m"], "minutes")):
        if milliseconds >= 2 * unit:
            return f"{milliseconds // unit:,} {word}"
    return "1 minute"


def _ends(one: WriteKey, now: int) -> str:
    at = one.ends_at or 0
    return f"ended {in_words(now - at)} ago" if at <= now else f"ends in {in_words(at - now)}"
