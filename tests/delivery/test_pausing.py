"""Answers that pause a destination, and the probes that bring it back."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from milonga.delivery.limits import Limits
from milonga.outcomes.model import State
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run, states

ON, PAUSED = DestinationState.on, DestinationState.paused


def test_three_refusals_of_different_keys_pause_and_new_settings_resume_without_loss(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(401))
        for n in range(10):
            road.add(n, user=f"u{n}")
        await road.until(lambda: road.config.state is PAUSED)
        assert road.config.changes[-1].by == "settings"
        assert "401" in road.config.changes[-1].reason
        seen = len(road.sent)
        await asyncio.sleep(30)
        assert len(road.sent) == seen
        road.answer = lambda n: OK
        road.config = msgspec.structs.replace(road.config, settings_version=2, settings=paper.Settings("new"))
        road.change(ON)
        await road.until(lambda: states(road) == [State.delivered] * 10)
        assert all(o.settings_version == 2 for n in range(1, 11) if (o := road.outcome(n)))
        await road.stop()

    run(tmp_path, live)


def test_the_only_account_that_sends_pauses_after_three_attempts_of_its_first_event(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(401))
        for n in range(5):
            road.add(n)
        await road.until(lambda: road.config.state is PAUSED, seconds=10)
        assert road.sent == [0, 0, 0]
        await road.stop()

    run(tmp_path, live)


def test_a_paused_destination_is_asked_once_a_minute_and_comes_back_by_itself(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(401))
        for n in range(5):
            road.add(n, user=f"u{n}")
        await road.until(lambda: road.config.state is PAUSED)
        seen, before = len(road.sent), loop.time()
        await asyncio.sleep(305)
        assert len(road.sent) - seen == 5
        road.answer = lambda n: OK
        await road.until(lambda: states(road) == [State.delivered] * 5, seconds=62)
        assert road.config.changes[-1].by == "probe"
        outcomes = [o for n in range(1, 6) if (o := road.outcome(n))]
        assert all(outcome.attempts <= 3 for outcome in outcomes), "probes consume no attempts"
        assert loop.time() > before
        await road.stop()

    run(tmp_path, live)


@pytest.mark.parametrize("lane", [100, 2])
def test_a_destination_that_was_paused_before_a_start_is_probed_at_once_and_then_once_a_minute(
    tmp_path: Path, lane: int
) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        first = Road(folder, loop, lambda n: answer(401), Limits(lane=lane))
        for n in range(5):
            first.add(n)
        await first.until(lambda: first.config.state is PAUSED)
        await first.stop(0.0)
        road = Road(folder, loop, lambda n: answer(401), log=first.log, config=first.config)
        await road.until(lambda: road.sent == [0], seconds=3)
        await asyncio.sleep(58)
        assert road.sent == [0]
        await road.until(lambda: road.sent == [0, 0], seconds=3)
        await road.stop(0.0)
        again = Road(folder, loop, log=first.log, config=road.config)
        await again.until(lambda: states(again) == [State.delivered] * 5, seconds=5)
        await again.stop()

    run(tmp_path, live)


def test_an_event_that_alone_is_refused_does_not_keep_the_destination_paused(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        limits = Limits(lane=1)
        first = Road(folder, loop, lambda n: answer(401), limits)
        for n in range(20):
            first.add(n, user=f"u{n // 5}")
        await first.until(lambda: first.config.state is PAUSED and first.reader.parked_count(7) == 20)
        await first.stop(0.0)
        road = Road(folder, loop, lambda n: answer(403) if n == 0 else OK, limits, log=first.log, config=first.config)
        await road.until(lambda: road.config.state is ON, seconds=200)
        await road.until(lambda: None not in states(road))
        assert states(road) == [State.dead] + [State.delivered] * 19
        await road.stop()

    run(tmp_path, live)


def test_a_probe_finds_an_event_also_when_all_of_them_are_on_disk(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        limits = Limits(lane=2)
        first = Road(folder, loop, lambda n: answer(503), limits)
        for n in range(20):
            first.add(n)
        await first.until(lambda: first.reader.parked_count(7) == 20)
        await first.stop(0.0)
        paused = paper.change(PAUSED, first.now(), "settings", "401")
        config = msgspec.structs.replace(first.config, changes=(*first.config.changes, paused))
        road = Road(folder, loop, limits=limits, log=first.log, config=config)
        await road.until(lambda: states(road) == [State.delivered] * 20, seconds=5)
        assert road.delivered == list(range(20))
        await road.stop()

    run(tmp_path, live)


def test_refusals_that_come_back_after_the_pause_make_no_dead_letters_when_a_probe_succeeds(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(401))
        for n in range(64):
            road.add(n, user=f"u{n}")
        await road.until(lambda: road.config.state is PAUSED)
        road.answer = lambda n: OK
        await road.until(lambda: states(road) == [State.delivered] * 64, seconds=70)
        await road.stop()

    run(tmp_path, live)


def test_half_of_a_hundred_dead_letters_pause_instead_of_filling_the_drawer(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400), delivery=DeliverySettings(concurrency=4))
        for n in range(500):
            road.add(n, user=f"u{n}")
        await road.until(lambda: road.config.state is PAUSED)
        await asyncio.sleep(1)
        assert 100 <= road.reader.dead_count(7) <= 104
        assert "Half of the last 100" in road.config.changes[-1].reason
        await road.stop()

    run(tmp_path, live)
