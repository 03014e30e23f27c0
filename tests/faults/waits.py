"""How long events waited from their arrival to their delivery, as the outcomes say."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec import Struct

from milonga.outcomes.files import is_begun, open_to_read, path_of, segments
from milonga.outcomes.model import State

QUERY: Final = "SELECT offset, received_at, ended_at FROM outcomes WHERE destination = ? AND state = ?"


class Wait(Struct, frozen=True):
    """
    offset       in the log
    received_at  unix seconds
    seconds      until it was delivered
    """

    offset: int
    received_at: float
    seconds: float


def waits(data: Path, destination: int) -> Iterator[Wait]:
    """Of everything that was delivered there."""
    for number in segments(data / "outcomes"):
        with closing(open_to_read(path_of(data / "outcomes", number))) as db:
            if is_begun(db):
                for offset, came, ended in db.execute(QUERY, (destination, int(State.delivered))):
                    yield Wait(offset, came / 1000, max(0, ended - came) / 1000)


def share(seconds: list[float], part: float) -> float:
    """The wait that this part (0.0 to 1.0) of them did not exceed."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
