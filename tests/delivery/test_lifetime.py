"""What is worth sending only while it is fresh is not sent late, whatever held it up, and holds up nobody itself."""

import asyncio
from pathlib import Path

import msgspec

from milonga.delivery.limits import Limits
from milonga.outcomes.model import State
from milonga.spec.event import Event
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run

ON, PAUSED = DestinationState.on, DestinationState.paused
LATE = (State.expired, "too_late")
SENT = (State.delivered, "")


def lifetime(event: Event, settings: object) -> float | None:
    """As `fresh` says."""
    seconds: float | None = event.received.get("fresh")
    return seconds


KIND = msgspec.structs.replace(paper.DESTINATION, lifetime=lifetime)


def ends(road: Road) -> list[tuple[State, str] | None]:
    """Of the log's events, in order; None while there is no outcome."""
    found = [road.outcome(offset) for offset in range(1, road.log.ends()[0] + 1)]
    return [None if outcome is None else (outcome.state, outcome.code) for outcome in found]


def test_what_cannot_be_delivered_while_it_is_fresh_ends_then_and_its_line_goes_on(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503) if n == 0 else OK, kind=KIND)
        road.add(0, fresh=120)
        road.add(1)
        await road.until(lambda: ends(road) == [LATE, SENT], seconds=130)
        assert 119 < loop.time() < 130
        sent = list(road.sent)
        await asyncio.sleep(1_000)
        assert road.sent == sent
        await road.stop()

    run(tmp_path, live)


def test_neither_a_pause_nor_a_resend_makes_it_fresh_again(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400), kind=KIND)
        road.add(0, fresh=120)
        await road.until(lambda: ends(road) == [(State.dead, "http_400")])
        road.change(PAUSED)
        road.add(1, fresh=120)
        road.add(2)
        await asyncio.sleep(300)
        road.answer = lambda n: OK
        (letter,) = [road.reader.dead(7, position) for position in (road.log.events[0][0].position,)]
        assert letter is not None
        assert road.runner.resend(letter)
        road.change(ON)
        await road.until(lambda: ends(road) == [LATE, LATE, SENT])
        assert road.sent == [0, 2]
        await road.stop()

    run(tmp_path, live)


def test_what_waits_on_disk_is_given_up_on_as_well(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503) if loop.time() < 200 else OK, Limits(lane=2), kind=KIND)
        for n in range(8):
            road.add(n, fresh=120 if n % 2 else None)
        await road.until(lambda: road.reader.parked_count(7) > 0)
        await road.until(lambda: None not in ends(road), seconds=1_000)
        assert ends(road) == [LATE if n % 2 else SENT for n in range(8)]
        await road.stop()

    run(tmp_path, live)


def test_it_counts_from_when_it_happened_not_from_its_arrival(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, kind=KIND)
        for n, before in enumerate((121_000, 119_000, -3_600_000)):
            event = paper.event(n, received_at=road.now(), fresh=120)
            stamp = msgspec.structs.replace(event.stamp, timestamp=road.now() - before)
            road.log.add(msgspec.structs.replace(event, stamp=stamp))
        await road.until(lambda: None not in ends(road))
        assert ends(road) == [LATE, SENT, SENT]
        await road.stop()

    run(tmp_path, live)


def test_a_clock_that_runs_ahead_makes_it_last_no_longer(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), kind=KIND)
        event = paper.event(0, received_at=road.now(), fresh=120)
        stamp = msgspec.structs.replace(event.stamp, timestamp=road.now() + 3_600_000)
        road.log.add(msgspec.structs.replace(event, stamp=stamp))
        await road.until(lambda: ends(road) == [LATE], seconds=130)
        await road.stop()

    run(tmp_path, live)
