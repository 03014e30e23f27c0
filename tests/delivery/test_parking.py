"""Lines that wait on disk, and go on from there."""

import asyncio
from pathlib import Path

import pytest

from milonga.delivery.limits import Limits
from milonga.delivery.outgoing import Reply
from milonga.delivery.rows import Parked
from milonga.eventlog.api import Position
from milonga.outcomes.model import State
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import LATENCY, OK, Road, answer, run, states


def test_an_event_parked_while_it_is_under_way_is_sent_once_and_its_line_goes_on(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=Limits(lane=2))
        for n in range(10):
            road.add(n)
        await asyncio.sleep(LATENCY / 2)
        assert road.flying == 1
        assert road.reader.parked_count(7) == 10, "the one under way too"
        await road.until(lambda: states(road) == [State.delivered] * 10)
        assert road.sent == list(range(10))
        await road.until(lambda: road.reader.parked_count(7) == 0, seconds=1)
        await road.stop()

    run(tmp_path, live)


def test_a_line_that_fails_for_long_goes_to_disk_and_frees_the_watermark(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503) if n < 5 and loop.time() < 100 else OK)
        for n in range(5):
            road.add(n)
        for n in range(5, 50):
            road.add(n, f"account-{n}")
        await asyncio.sleep(20)
        assert road.reader.position(7, 0) == 0
        await road.until(lambda: road.reader.position(7, 0) == 50, seconds=40)
        assert road.reader.parked_count(7) == 5
        await road.until(lambda: road.reader.parked_count(7) == 0, seconds=600)
        assert [n for n in road.delivered if n < 5] == [0, 1, 2, 3, 4]
        await road.stop()

    run(tmp_path, live)


def test_an_event_given_back_waits_on_disk_for_its_time_and_no_longer(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        waits: dict[int, Reply] = {0: answer(503, retry_after="60"), 1: answer(503)}
        road = Road(folder, loop, lambda n: waits.get(road.sent.count(n) - 1, OK) if n == 0 else OK, Limits(lane=2))
        for n in range(6):
            road.add(n)
        await asyncio.sleep(59)
        assert road.sent == [0]
        assert not road.work.line_up, "nothing of it is left in memory"
        await road.until(lambda: states(road) == [State.delivered] * 6, seconds=5)
        assert road.sent == [0, 0, 0, 1, 2, 3, 4, 5]
        await road.stop()

    run(tmp_path, live)


def test_a_parked_event_whose_bytes_left_the_log_says_so(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), Limits(lane=2))
        for n in range(5):
            road.add(n)
        await road.until(lambda: road.reader.position(7, 0) == 5)
        road.log.trimmed = 3
        road.answer = lambda n: OK
        await road.until(lambda: road.reader.parked_count(7) == 0, seconds=400)
        found = [(o.state, o.code) for n in range(2, 6) if (o := road.outcome(n))]
        assert found == [(State.expired, "log_trimmed")] * 2 + [(State.delivered, "")] * 2
        await road.stop()

    run(tmp_path, live)


def spoil(road: Road, operation: str, offset: int) -> None:
    """This operation of the store raises for this event, whenever it is tried."""
    store = road.recorder._store
    usual = getattr(store, operation)

    def broken(number: int, what: Position | Parked, *rest: object) -> None:
        position = what.position if isinstance(what, Parked) else what
        if position.offset == offset:
            raise ZeroDivisionError
        usual(number, what, *rest)

    setattr(store, operation, broken)


def test_an_event_that_can_never_be_parked_ends_as_a_dead_letter_and_holds_up_nobody(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=Limits(lane=2))
        spoil(road, "park", 5)
        for n in range(10):
            road.add(n)
        await road.until(lambda: None not in states(road))
        assert states(road) == [State.dead if n == 4 else State.delivered for n in range(10)]
        outcome = road.outcome(5)
        assert outcome is not None
        assert outcome.code == "cannot_park"
        assert road.delivered == [n for n in range(10) if n != 4]
        await asyncio.sleep(2)
        assert road.reader.position(7, 0) == 10
        road.add(10)
        await road.until(lambda: road.delivered[-1] == 10)
        letter = road.reader.dead(7, Position(0, 5))
        assert letter is not None
        assert road.runner.resend(letter)
        await asyncio.sleep(2)
        assert road.reader.dead_count(7) == 1, "nor can it be resent, but it is not lost"
        assert road.runner._parking.lines.count == 0
        await road.stop()

    run(tmp_path, live)


def test_an_event_under_way_that_can_never_be_parked_is_delivered_and_holds_the_watermark_until_then(
    tmp_path: Path,
) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=Limits(lane=2))
        road.latency = 5.0
        spoil(road, "park", 1)
        road.add(0)
        await road.until(lambda: road.flying == 1)
        for n in range(1, 5):
            road.add(n)
        await asyncio.sleep(3)
        assert (road.reader.parked_count(7), road.reader.position(7, 0)) == (4, 0)
        road.latency = LATENCY
        await road.until(lambda: states(road) == [State.delivered] * 5)
        assert road.sent == list(range(5))
        await asyncio.sleep(2)
        assert road.reader.position(7, 0) == 5
        await road.stop()

    run(tmp_path, live)


@pytest.mark.parametrize("lane", [100, 2])
def test_an_event_whose_progress_can_never_be_written_is_tried_again_all_the_same(tmp_path: Path, lane: int) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        up = 20.0
        road = Road(folder, loop, lambda n: OK if n or loop.time() > up else answer(503), Limits(lane=lane))
        spoil(road, "set_progress", 1)
        for n in range(5):
            road.add(n)
        await asyncio.sleep(up)
        assert 3 <= len(road.sent) <= 20, "not without a wait"
        await road.until(lambda: states(road) == [State.delivered] * 5)
        assert road.sent[-5:] == list(range(5))
        await asyncio.sleep(2)
        assert (road.reader.parked_count(7), road.reader.position(7, 0)) == (0, 5)
        await road.stop()

    run(tmp_path, live)
