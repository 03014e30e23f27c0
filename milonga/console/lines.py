"""
Threads for pages that wait for something else, or are at work for seconds: few, and apart from those of all other
pages, which so stay quick whoever tries out whatever. What finds too many before it is told to come again.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from msgspec import Struct

R = TypeVar("R")


class Line(Struct, frozen=True, kw_only=True):
    """
    threads  of it, at work side by side
    waiting  so many more stand in line; others are told to come again
    again    seconds after which it is worth it
    what     are under way, in words
    """

    threads: int
    waiting: int
    again: int
    what: str


NETWORK: Final = Line(threads=2, waiting=0, again=10, what="Two connections are being tested already.")
"""A test of a connection: up to 10 seconds."""

DELIVERY: Final = Line(threads=4, waiting=16, again=5, what="Many changes wait for delivery already.")
"""Asks delivery for something, and waits up to two seconds for its answer: it does nothing meanwhile."""

WORK: Final = Line(threads=1, waiting=4, again=5, what="Others try something out just now.")
"""Works for up to two seconds, as filters do on hundreds of events."""


PASSWORDS: Final = Line(threads=2, waiting=8, again=5, what="Many passwords are being changed just now.")
"""Compares and hashes a password, which is costly on purpose (milonga.workspace.passwords)."""


class TooMany(Exception):
    """All threads of the line are at work, and its places to wait taken."""

    def __init__(self, line: Line) -> None:
        super().__init__(f"{line.what} Try again in {line.again} seconds.")
        self.line = line


class Turns:
    """Those of one line. From the event loop alone."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._limiter = anyio.CapacityLimiter(line.threads)
        self._inside = 0

    async def run(self, work: Callable[[], R]) -> R:
        """In a thread of the line. TooMany."""
        if self._inside >= self._line.threads + self._line.waiting:
            raise TooMany(self._line)
        self._inside += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._inside -= 1
