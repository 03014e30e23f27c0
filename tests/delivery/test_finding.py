"""Where in the log a time of arrival lies."""

import asyncio

import pytest

from milonga.delivery.finding import MARGIN, stretch
from milonga.eventlog.api import Damaged, Position
from tests.delivery import paper

HOUR = MARGIN


def log(*hours: float, trimmed: int = 0, damaged: tuple[int, ...] = ()) -> paper.ListLog:
    made = paper.ListLog()
    for n, hour in enumerate(hours):
        made.add(paper.event(n, received_at=int(hour * HOUR)))
    for offset in damaged:
        made.events[0][offset - 1] = Damaged(Position(0, offset), "checksum")
    made.trimmed = trimmed
    return made


def found(made: paper.ListLog, since: float, until: float) -> tuple[int, int]:
    return asyncio.run(stretch(made, 0, int(since * HOUR), int(until * HOUR)))


@pytest.mark.parametrize(
    ("since", "until", "where"),
    [(0, 99, (0, 10)), (5, 7, (4, 8)), (5, 5.5, (4, 7)), (20, 99, (10, 10)), (-9, -5, (0, 0))],
)
def test_it_is_found_with_an_hour_to_spare(since: float, until: float, where: tuple[int, int]) -> None:
    made = log(*(n + 0.25 for n in range(10)))
    after, upto = found(made, since, until)
    assert (after, upto) == where
    inside = [n for n in range(10) if since <= n + 0.25 < until]
    assert all(after <= n < upto for n in inside)


def test_an_empty_log_a_trimmed_and_a_damaged_one() -> None:
    assert found(log(), 0, 99) == (0, 0)
    assert found(log(*range(10), trimmed=6), 0, 99) == (6, 10)
    assert found(log(*range(10), damaged=(5, 6, 7)), 6, 99)[0] <= 5
    assert found(log(*range(10), damaged=tuple(range(1, 11))), 6, 99)[0] == 0
