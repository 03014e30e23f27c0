"""How many bytes of request bodies may be in memory at once."""

from collections.abc import Callable
from typing import Final

MAX_HELD: Final = 64 * 1024 * 1024
"""Bytes, as sent and, while they are worked on, as unpacked. Ours: a dozen of the largest requests."""


class Room:
    """The second half is kept for senders that are known by their header: strangers cannot take it all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._for_all = limit // 2
        self.held = 0

    def take(self, size: int, is_known: Callable[[], bool]) -> bool:
        """
        Take room for so many bytes; False, and nothing taken, if there is not enough.

        is_known  whether the request's header names a key that a source has; asked only if it matters
        """
        held = self.held + size
        if held > self._for_all and (held > self._limit or not is_known()):
            return False
        self.held = held
        return True

    def give_back(self, size: int) -> None:
        self.held -= size
