"""What the writing thread is given to do, and what it answers."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from milonga.eventlog.api import Discard, Duplicate, Position
from milonga.eventlog.record import Record


class Appending(Struct, frozen=True, gc=False):
    """
    rows    of one append, each with its key (milonga.identity.duplicates.key_of), or None if it has no message id of
            its sender's
    events  number of rows
    size    bytes
    """

    rows: list[tuple[Record, int | None]]
    events: int
    size: int
    answer: "asyncio.Future[list[Position | Duplicate]]"


class Discarding(Struct, frozen=True):
    """size  bytes"""

    discards: Sequence[Discard]
    size: int
    answer: "asyncio.Future[None]"

    @property
    def events(self) -> int:
        return len(self.discards)


Work: TypeAlias = list[Appending | Discarding] | Callable[[], None] | None
"""A function is called between two groups; None ends the thread."""

Answers: TypeAlias = list[tuple[Appending | Discarding, Any]]
"""What each gets; an Exception is raised."""
