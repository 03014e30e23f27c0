"""
How full the disk is, as one of four levels, and what each one means: docs/operate.md has the table. Pure.

The log leaves a reserve of the disk alone: delivery must be able to record what it did, or a disk that the log has
filled would stay full for ever. The last part of the reserve is left by delivery, too: what is under way can still be
recorded there, so that a full disk makes nobody get an event twice.
"""

import re
from enum import StrEnum
from typing import Final

from msgspec import Struct

MB: Final = 1024 * 1024
MOST: Final = 512 * MB  #: of reserve on a large disk
PART: Final = 20  #: one of so many parts of a smaller one
LEAST: Final = 16 * MB  #: on any, but no more than half of it: delivery's files need some
LAST: Final = 8  #: one of so many parts of the reserve is the last
UNITS: Final = {"B": 1, "KB": 1024, "MB": MB, "GB": 1024 * MB, "TB": 1024 * 1024 * MB}
SMALLEST_LOG: Final = 32 * MB  #: that a log may be limited to
SEGMENTS: Final = 8  #: at least so many of them are to make up a limited log, that the oldest can go


class Level(StrEnum):
    """From good to bad; each goes on with what is wrong at the one before."""

    fine = "fine"
    low = "low"  #: a warning; everything goes on
    high_water = "high_water"  #: senders get 503; delivery goes on
    used_up = "used_up"  #: the reserve, but for its last part: delivery sends nothing more

    @property
    def refuses(self) -> bool:
        """Whether senders get 503."""
        return self in (Level.high_water, Level.used_up)


class Amount(Struct, frozen=True):
    """Of a disk: bytes, or per cent of it."""

    number: float
    is_percent: bool = False

    def of(self, disk: int) -> int:
        """Bytes. disk  its size"""
        return int(disk * self.number / 100) if self.is_percent else int(self.number)


class Marks(Struct, frozen=True):
    """
    Bytes.

    reserve  of the disk that the log leaves free
    low      of the disk that should be free
    last     of the disk that delivery leaves free
    most     the log's own size; None: as much as there is
    """

    reserve: int
    low: int
    last: int
    most: int | None = None


def amount(text: str) -> Amount:
    """`2GB`, `500 MB`, `5%`, or bytes. ValueError says what would be right."""
    found = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([kmgt]?b|%)?\s*", text, re.IGNORECASE | re.ASCII)
    if found is None:
        raise ValueError("Give bytes with a unit, such as 2GB or 500MB, or per cent of the disk, such as 5%.")
    number, unit = float(found[1]), (found[2] or "B").upper()
    if unit == "%":
        if number > 100:
            raise ValueError("There is no more than 100 % of a disk.")
        return Amount(number, is_percent=True)
    return Amount(number * UNITS[unit])


def reserve_of(disk: int) -> int:
    """Bytes to leave free on a disk of this size, if nobody says otherwise."""
    return max(min(LEAST, disk // 2), min(MOST, disk // PART))


def marks(disk: int, reserve: int | None = None, most: int | None = None) -> Marks:
    """disk  its size; reserve  None: by the size of the disk; most  see Marks. All in bytes."""
    kept = reserve_of(disk) if reserve is None else reserve
    return Marks(reserve=kept, low=min(2 * kept, kept + max(0, disk - kept) // 2), last=kept // LAST, most=most)


def level(marks: Marks, free: int, log: int) -> Level:
    """
    free  bytes of the disk
    log   bytes that the log takes
    """
    if free < marks.last:
        return Level.used_up
    left = None if marks.most is None else marks.most - log
    if free < marks.reserve or (left is not None and left <= 0):
        return Level.high_water
    if free < marks.low or (left is not None and marks.most is not None and left < marks.most // 10):
        return Level.low
    return Level.fine


def segment_size(most: int | None, usual: int) -> int:
    """Bytes of a segment, so that a limited log has several."""
    return usual if most is None else min(usual, most // SEGMENTS)


SAYS: Final = {
    Level.fine: "There is room on the disk.",
    Level.low: "The disk will soon be too full to take events.",
    Level.high_water: "Senders get 503 log_full and come again; what was taken is delivered.",
    Level.used_up: "Senders get 503 log_full; delivery sends nothing more until there is room. Nothing is lost.",
}
"""What happens at each level, for logs and alerts."""
