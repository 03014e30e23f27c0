"""How often something was counted, about, in memory that does not grow with how many things there are. Pure."""

from array import array
from collections.abc import Hashable
from typing import Final

SLOTS: Final = 2**18  #: 1 MB, once anything is counted


class Tally:
    """
    Things share slots by their hash: a count may be too high, and never is too low.

    total  of all counts, exactly
    """

    def __init__(self, slots: int = SLOTS) -> None:
        """slots  a power of two"""
        self.total = 0
        self._slots, self._counts = slots, array("I")

    def add(self, thing: Hashable, n: int = 1) -> None:
        if not self._counts:
            self._counts = array("I", bytes(4 * self._slots))
        self._counts[hash(thing) & (self._slots - 1)] += n
        self.total += n

    def take(self, thing: Hashable) -> None:
        """One of what was added."""
        slot = hash(thing) & (self._slots - 1)
        if self.total and self._counts[slot]:
            self._counts[slot] -= 1
            self.total -= 1

    def at_most(self, thing: Hashable) -> int:
        return self._counts[hash(thing) & (self._slots - 1)] if self.total else 0
