"""
How full the disk is, for the server's two halves and for whoever asks: looked at once a second, beside everything else.
What each level means: milonga.eventlog.levels, docs/operate.md.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Final

import msgspec
import structlog
import typer

from milonga.eventlog.levels import SAYS, Amount, Level, amount, level, marks
from milonga.eventlog.room import Disk, free_of, look
from milonga.facts.disk import NAME, DiskOptions, figures

log = structlog.get_logger("milonga")

LOOK_AGAIN: Final = 1.0  #: seconds
AT_ONCE: Final = 5.0  #: seconds between two looks for what may go, while senders are refused


def an_amount(given: str) -> Amount:
    """Wrong use (exit 2) if it is none."""
    try:
        return amount(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


class DiskWatch:
    """
    The collector's. Changes are logged, those for the better once they are clear.

    level  as of a second ago
    """

    def __init__(self, folder: Path, options: DiskOptions) -> None:
        """folder  the log's"""
        self._folder, self._options = folder, options
        self.level = self._told = Level.fine
        self._refuses = asyncio.Event()

    async def follow(self) -> None:
        """For ever."""
        self._remember()
        while True:
            try:
                disk = await asyncio.to_thread(look, self._folder, self._options.reserve, self._options.log_size)
            except OSError as error:
                log.error("disk.unreadable", error=f"{type(error).__name__}: {error}")
            else:
                self._saw(disk)
            await asyncio.sleep(LOOK_AGAIN)

    async def refuses_within(self, seconds: float) -> None:
        """Return after so long, or soon if senders are refused then."""
        if self.level.refuses:
            return await asyncio.sleep(AT_ONCE)
        try:
            async with asyncio.timeout(seconds):
                await self._refuses.wait()
        except TimeoutError:
            pass
        return None

    def _saw(self, disk: Disk) -> None:
        self.level = disk.level
        if disk.level.refuses:
            self._refuses.set()
        else:
            self._refuses.clear()
        if disk.level is self._told or (_better(disk.level, self._told) and not is_clear(disk, self._told)):
            return
        was, self._told = self._told, disk.level
        tell = log.info if disk.level is Level.fine else log.error if disk.level.refuses else log.warning
        tell("disk.level", disk=disk.level.value, was=was.value, says=SAYS[disk.level], **figures(disk))

    def _remember(self) -> None:
        """For commands; if it cannot be written they take the usual marks."""
        path, text = self._folder.parent / NAME, msgspec.json.encode(self._options)
        try:
            if not path.exists() or path.read_bytes() != text:
                new = path.with_name(f"{NAME}.new")
                with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
                    out.write(text)
                new.replace(path)
        except OSError as error:
            log.warning("disk.options_not_kept", error=f"{type(error).__name__}: {error}")


ORDER: Final = tuple(Level)


def _better(one: Level, other: Level) -> bool:
    return ORDER.index(one) < ORDER.index(other)


def is_clear(disk: Disk, before: Level) -> bool:
    """Whether it is better than `before` also with a tenth of the reserve, and of the log's size, to spare. Pure."""
    most = disk.marks.most
    spare = level(disk.marks, disk.free - disk.marks.reserve // 10, disk.log + (0 if most is None else most // 50))
    return _better(spare, before)


class Ledge:
    """The last part of the reserve, which delivery leaves for what is under way."""

    def __init__(self, data: Path, reserve: int | None) -> None:
        self._data, self._reserve = data, reserve
        self._looked, self._has_room = -LOOK_AGAIN, True

    def has_room(self) -> bool:
        """As of a second ago."""
        now = time.monotonic()
        if now - self._looked >= LOOK_AGAIN:
            self._looked = now
            try:
                free, size = free_of(self._data)
                self._has_room = free >= marks(size, self._reserve).last
            except OSError:
                pass  # whatever it is, writing will tell
        return self._has_room
