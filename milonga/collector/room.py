"""How many bytes of request bodies may be in memory at once."""

from typing import Final

MAX_HELD: Final = 64 * 1024 * 1024
"""Bytes, as sent and, while they are worked on, as unpacked. Ours: a dozen of the largest requests."""


class Room:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, size: int) -> bool:
        """Take room for so many bytes; False, and nothing taken, if there is not enough."""
        if self.held + size > self._limit:
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        self.held -= size
