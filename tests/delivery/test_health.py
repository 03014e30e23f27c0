"""How a destination fares, as other processes see it."""

import asyncio
import logging
from pathlib import Path

import structlog
from structlog.testing import capture_logs

from milonga.delivery.limits import Limits
from milonga.delivery.rows import Health
from milonga.workspace.model import DestinationState
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run


def seen(road: Road) -> Health:
    found = road.reader.health(7)
    assert found is not None
    return found


def test_a_destination_that_never_ran_has_none(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        assert road.reader.health(7) is None
        await road.until(lambda: road.reader.health(7) is not None, seconds=2)
        found = seen(road)
        assert (found.breaker, found.waiting, found.oldest_waiting_at) == ("closed", 0, None)
        assert (found.last_delivered_at, found.last_failure_at, found.last_failure_code) == (None, None, "")
        await road.stop()

    run(tmp_path, live)


def test_deliveries_and_failures_are_seen_within_two_seconds_and_after_a_restart(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: OK if n == 0 else answer(503))
        road.add(0, "acme")
        await asyncio.sleep(2)
        before = seen(road)
        assert before.last_delivered_at is not None
        assert before.last_failure_at is None
        received_at = road.now()
        road.add(1, "acme")
        await asyncio.sleep(2)
        found = seen(road)
        assert found.last_delivered_at == before.last_delivered_at
        assert found.last_failure_at is not None
        assert received_at < found.last_failure_at <= found.at <= road.now()
        assert found.last_failure_code == "http_503"
        assert "503" in found.last_failure_reason
        assert (found.waiting, found.oldest_waiting_at) == (1, received_at)
        await road.stop(0.0)
        again = Road(folder, loop, lambda n: OK, log=road.log)
        again.change(DestinationState.paused)
        await asyncio.sleep(2)
        assert seen(again).last_delivered_at == before.last_delivered_at
        assert seen(again).last_failure_code == "http_503"
        await again.stop()

    run(tmp_path, live)


def test_an_open_breaker_shows_and_says_until_when(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503))
        for n in range(30):
            road.add(n, f"account-{n}")
        await road.until(lambda: seen(road).breaker == "open" if road.reader.health(7) else False, seconds=60)
        until = seen(road).breaker_until
        assert until is not None
        assert until > (seen(road).last_failure_at or until)
        road.answer = lambda n: OK
        await road.until(lambda: seen(road).waiting == 0, seconds=70)
        assert (seen(road).breaker, seen(road).breaker_until) == ("closed", None)
        await road.stop()

    run(tmp_path, live)


def test_what_waits_is_counted_wherever_it_waits(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=Limits(lane=5, window=50))
        road.change(DestinationState.paused)
        first = road.now()
        for n in range(20):
            road.add(n, "hot")
        await asyncio.sleep(1)
        for n in range(20, 200):
            road.add(n, f"account-{n}")
        await asyncio.sleep(3)
        assert road.reader.parked_count(7) == 20
        assert road.reader.position(7, 0) == 20
        assert (seen(road).waiting, seen(road).oldest_waiting_at) == (200, first), (
            "on disk, in memory, and not read yet"
        )
        road.change(DestinationState.on)
        await road.until(lambda: len(road.delivered) == 200)
        await asyncio.sleep(2)
        assert (seen(road).waiting, seen(road).oldest_waiting_at) == (0, None)
        await road.stop()

    run(tmp_path, live)


def test_while_nothing_changes_nothing_is_written(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        road.add(0)
        await asyncio.sleep(3)
        before = seen(road)
        await asyncio.sleep(60)
        assert seen(road) == before
        road.add(1)
        await asyncio.sleep(2)
        assert seen(road).at > before.at
        await road.stop()

    run(tmp_path, live)


def test_before_what_waits_for_too_long_expires_the_log_says_so_every_hour(tmp_path: Path) -> None:
    hour = 3_600

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        with capture_logs() as said:
            road = Road(folder, loop, limits=Limits(pinned=10 * hour * 1000))
            road.change(DestinationState.paused)
            road.add(0)
            await asyncio.sleep(7.95 * hour)
            assert not [one for one in said if one["event"] == "delivery.about_to_expire"]
            await asyncio.sleep(0.1 * hour)
            (first,) = [one for one in said if one["event"] == "delivery.about_to_expire"]
            assert (first["destination"], first["state"], first["waiting"]) == ("paper", "paused", 1)
            assert first["expires"] > first["oldest_since"]
            await asyncio.sleep(hour + 100)
            assert len([one for one in said if one["event"] == "delivery.about_to_expire"]) == 2
            await road.stop()

    run(tmp_path, live)


def test_which_settings_and_state_are_in_force_is_told_and_since_when(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        assert road.reader.in_force(7) is None
        await road.until(lambda: road.reader.in_force(7) is not None, seconds=2)
        first = road.reader.in_force(7)
        assert first is not None
        assert (first.settings_version, first.state_at) == (road.config.settings_version, road.config.changes[-1].at)
        await asyncio.sleep(3)
        road.set(concurrency=3)
        changed_at = road.now()
        await road.until(lambda: road.reader.in_force(7) != first, seconds=2)
        found = road.reader.in_force(7)
        assert found is not None
        assert (found.settings_version, found.state_at) == (first.settings_version + 1, first.state_at)
        assert changed_at <= found.at <= road.now()
        road.change(DestinationState.paused)
        paused_at = road.config.changes[-1].at
        await road.until(lambda: road.reader.in_force(7) != found, seconds=2)
        last = road.reader.in_force(7)
        assert last is not None
        assert last.state_at == paused_at
        await road.stop()

    run(tmp_path, live)
