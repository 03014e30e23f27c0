"""Room on the disk, as whoever writes the log must know it from one write to the next (milonga.eventlog.levels)."""

import os
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

from milonga.eventlog.levels import MB, Level, Marks, level, marks

LOOK_AGAIN: Final = 0.1  #: seconds
LOOK_AFTER: Final = MB  #: bytes written
WEIGH_AGAIN: Final = 1.0  #: seconds until the log's files are weighed again; what was written since is known
BLOCK: Final = 512  #: bytes that `st_blocks` counts in


class Disk(Struct, frozen=True):
    """
    What a look at it found, in bytes.

    free, size  of the disk
    log         what the log's files take; 0 if nobody needs to know
    """

    level: Level
    free: int
    size: int
    log: int
    marks: Marks


def look(folder: Path, reserve: int | None = None, most: int | None = None) -> Disk:
    """folder  the log's; reserve, most  see milonga.eventlog.levels.marks. OSError if it cannot be looked at."""
    free, size = free_of(folder)
    found, log = marks(size, reserve, most), 0 if most is None else size_of(folder)
    return Disk(level(found, free, log), free, size, log, found)


def free_of(folder: Path) -> tuple[int, int]:
    """Free bytes of its disk that we may have, and the size of the disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize


def size_of(folder: Path) -> int:
    """Bytes that its files take on the disk."""
    total = 0
    with os.scandir(folder) as files:
        for file in files:
            try:
                total += file.stat(follow_symlinks=False).st_blocks * BLOCK
            except FileNotFoundError:  # it went a moment ago
                continue
    return total


class Room:
    """
    For one thread.

    refusal  why there was too little, in words, when it was asked for last and there was
    """

    def __init__(self, folder: Path, reserve: int | None = None, most: int | None = None) -> None:
        """
        reserve  bytes to leave free; None: by the size of the disk
        most     bytes that the log may take; None: as many as there are
        """
        self._folder, self._reserve, self._most = folder, reserve, most
        self._written = self._since_weighed = 0
        self._looked, self._weighed = -LOOK_AGAIN, -WEIGH_AGAIN
        self._free = self._size = 0
        self.refusal = ""

    def is_short(self, claimed: int) -> bool:
        """claimed  bytes that what is written already will still take"""
        now = time.monotonic()
        if now - self._looked >= LOOK_AGAIN or self._written >= LOOK_AFTER:
            self._look()
            self._looked, self._written = now, 0
        reserve = self._reserve or 0
        if self._free - self._written - claimed < reserve:
            self.refusal = f"{self._free // MB} MB of the disk are free, and {reserve // MB} MB are left to delivery"
            return True
        if self._most is None:
            return False
        if now - self._weighed >= WEIGH_AGAIN:
            self._size, self._weighed, self._since_weighed = size_of(self._folder), now, 0
        if (takes := self._size + self._since_weighed + claimed) >= self._most:
            self.refusal = f"the log takes {takes // MB} MB, and may have {self._most // MB} MB"
            return True
        return False

    def look_again(self) -> None:
        """Something was done that may have changed it."""
        self._looked, self._weighed = -LOOK_AGAIN, -WEIGH_AGAIN

    def wrote(self, size: int) -> None:
        self._written += size
        self._since_weighed += size

    def _look(self) -> None:
        self._free, size = free_of(self._folder)
        if self._reserve is None:
            self._reserve = marks(size).reserve
