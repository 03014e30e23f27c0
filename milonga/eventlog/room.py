"""
Room on the disk. The log leaves some of it alone: delivery must be able to record what it did, or a disk that the log
has filled would stay full for ever.
"""

import os
import time
from pathlib import Path
from typing import Final

MB: Final = 1024 * 1024
MOST: Final = 512 * MB  #: left free on a large disk
PART: Final = 20  #: one of so many parts on a smaller one
LEAST: Final = 16 * MB  #: on any, but no more than half of it: delivery's files need some
LOOK_AGAIN: Final = 0.1  #: seconds
LOOK_AFTER: Final = MB  #: bytes written


class Room:
    """For one thread."""

    def __init__(self, folder: Path, reserve: int | None = None) -> None:
        """reserve  bytes to leave free; None: by the size of the disk"""
        self._folder, self._reserve = folder, reserve
        self._written = 0
        self._looked = -LOOK_AGAIN
        self._free = 0

    def is_short(self, claimed: int) -> bool:
        """claimed  bytes that what is written already will still take"""
        now = time.monotonic()
        if now - self._looked >= LOOK_AGAIN or self._written >= LOOK_AFTER:
            self._look()
            self._looked, self._written = now, 0
        return self._free - self._written - claimed < (self._reserve or 0)

    def look_again(self) -> None:
        """Something was done that may have changed it."""
        self._looked = -LOOK_AGAIN

    def wrote(self, size: int) -> None:
        self._written += size

    @property
    def refusal(self) -> str:
        """In words."""
        return f"{self._free // MB} MB of the disk are free, and {(self._reserve or 0) // MB} MB are left to delivery"

    def _look(self) -> None:
        disk = os.statvfs(self._folder)
        self._free = disk.f_bavail * disk.f_frsize
        if self._reserve is None:
            self._reserve = reserve_of(disk.f_blocks * disk.f_frsize)


def reserve_of(size: int) -> int:
    """Bytes to leave free on a disk of this size."""
    return max(min(LEAST, size // 2), min(MOST, size // PART))
