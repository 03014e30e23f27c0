"""Somebody sets the machine's clock, by hours, either way: waits last as long as they would have, ages too."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from milonga.delivery.breaker import State as BreakerState
from milonga.delivery.clock import Clock, skipped_within, skips_after
from milonga.delivery.clock_set import clock_since
from milonga.delivery.limits import Limits
from milonga.delivery.retry import Backoff
from milonga.delivery.rows import Progress
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.destinations.contract import Batching
from milonga.eventlog.api import Position
from milonga.outcomes.model import State
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run, states

HOUR = 3600.0
BOTH_WAYS = pytest.mark.parametrize("hours", [-3, 3, 30])


def test_drift_is_followed_without_a_word_and_a_setting_told_once() -> None:
    wall, ran = 1_000_000.0, 50.0
    clock = Clock(lambda: wall, lambda: ran, "")
    ran, wall = 60.0, 1_000_010.2
    assert clock() == 1_000_010.0
    assert clock.follow() == 0.0
    assert clock() == 1_000_010.2
    wall -= HOUR
    assert clock() == 1_000_010.2
    assert not clock.is_in_step()
    assert clock.follow() == pytest.approx(-HOUR)
    assert clock.is_in_step()
    assert clock.follow() == 0.0
    assert clock() == wall


def test_what_a_clock_left_out_is_forgotten_as_far_as_it_is_set_back() -> None:
    skips = skips_after([], 1_000, 9_000)
    assert skips == [(1_000, 9_000)]
    assert skipped_within(skips, 500, 10_000) == 8_000
    assert skipped_within(skips, 8_000, 8_500) == 500
    assert skipped_within(skips, 9_000, 10_000) == 0
    assert skips_after(skips, 9_500, 4_000) == [(1_000, 4_000)]
    assert skips_after(skips, 9_500, 800) == []


@BOTH_WAYS
def test_a_wait_for_the_next_try_lasts_as_long_as_the_receiver_asked(tmp_path: Path, hours: int) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: OK if len(road.sent) > 1 else answer(503, retry_after="20"))
        road.add(0)
        await road.until(lambda: len(road.sent) == 1)
        began = loop.time()
        await asyncio.sleep(5)
        road.set_clock(hours * HOUR)
        await road.until(lambda: states(road) == [State.delivered])
        assert 20 <= loop.time() - began < 25
        await road.stop()

    run(tmp_path, live)


@BOTH_WAYS
def test_a_line_on_disk_waits_no_longer_either(tmp_path: Path, hours: int) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        bad = True
        limits = Limits(lane=2, blocked=1.0)
        road = Road(folder, loop, lambda n: answer(503, retry_after="40") if bad and n < 9 else OK, limits)
        for n in range(9):
            road.add(n)
        await road.until(lambda: road.reader.parked_count(7) == 9)
        await road.until(lambda: road.reader.progress(7, Position(0, 1)) is not None)
        bad, asked = False, loop.time()
        road.set_clock(hours * HOUR)
        await road.until(lambda: states(road) == [State.delivered] * 9, seconds=60)
        assert road.delivered == list(range(9))
        assert loop.time() - asked < 50
        await road.stop()

    run(tmp_path, live)


@BOTH_WAYS
def test_a_retry_window_is_as_long_as_it_would_have_been(tmp_path: Path, hours: int) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), delivery=DeliverySettings(retry_window=120))
        road.add(0)
        await asyncio.sleep(50)
        road.set_clock(hours * HOUR)
        await asyncio.sleep(50)
        assert states(road) == [None]
        await road.until(lambda: states(road) == [State.expired], seconds=30)
        await road.stop()

    run(tmp_path, live)


@BOTH_WAYS
def test_a_429_and_an_open_breaker_and_a_pause_last_as_long_as_they_would_have(tmp_path: Path, hours: int) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        status = 429
        road = Road(folder, loop, lambda n: OK if status == 200 else answer(status, retry_after="30"))
        road.add(0)
        await road.until(lambda: len(road.sent) == 1)
        road.set_clock(hours * HOUR)
        status, began = 200, loop.time()
        road.add(1, "other")
        await road.until(lambda: states(road) == [State.delivered] * 2)
        assert 29 < loop.time() - began < 33

        status = 503
        for n in range(2, 40):
            road.add(n, f"a{n}")
        await road.until(lambda: road.work.breaker.state is BreakerState.open)
        road.set_clock(hours * HOUR)
        status, began = 200, loop.time()
        await road.until(lambda: states(road) == [State.delivered] * 40)
        assert loop.time() - began < 35

        status = 401
        for n in range(40, 50):
            road.add(n, f"a{n}")
        await road.until(lambda: road.config.state is DestinationState.paused)
        road.set_clock(hours * HOUR)
        status, began = 200, loop.time()
        await road.until(lambda: road.config.state is DestinationState.on, seconds=100)
        assert loop.time() - began <= Limits().probe + 1
        await road.stop()

    run(tmp_path, live)


def test_a_batch_that_is_being_gathered_waits_no_longer(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        batching = Batching(events=4, size=100_000, wait=1.0, join=paper.join)
        road = Road(folder, loop, lambda n: OK, kind=structs.replace(paper.BATCHED, batch=batching))
        road.latency = 20.0
        road.add(0)
        await road.until(lambda: road.flying == 1)
        road.add(1, user="another")
        await asyncio.sleep(0.5)
        assert road.flying == 1, "it waits for company"
        road.set_clock(-3 * HOUR)
        await road.until(lambda: road.flying == 2, seconds=5)
        await road.until(lambda: states(road) == [State.delivered] * 2)
        await road.stop()

    run(tmp_path, live)


def test_a_breaker_opens_also_after_the_clock_was_set_back(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: OK if n == 0 else answer(503))
        road.add(0)
        await road.until(lambda: states(road) == [State.delivered])
        road.set_clock(-3 * HOUR)
        for n in range(1, 20):
            road.add(n, f"a{n}")
        await road.until(lambda: road.work.breaker.state is BreakerState.open, seconds=10)
        await road.stop()

    run(tmp_path, live)


def test_a_clock_set_forward_by_a_day_expires_nothing_and_its_age_goes_on_from_there(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), delivery=DeliverySettings(max_age=1_000))
        road.add(0)
        road.add(1, "another")
        await asyncio.sleep(400)
        road.set_clock(25 * HOUR)
        road.set_clock(200 * HOUR)
        await asyncio.sleep(400)
        assert states(road) == [None, None]
        await asyncio.sleep(210)
        assert states(road) == [State.expired] * 2
        await road.stop()

    run(tmp_path, live)


def test_a_restart_remembers_what_the_clock_left_out(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        first = Road(folder, loop, lambda n: answer(503))
        first.add(0)
        await asyncio.sleep(60)
        first.set_clock(30 * HOUR)
        await first.stop()
        loop.set_by += 30 * HOUR  # and once more, while nothing runs
        second = Road(folder, loop, lambda n: answer(503), log=first.log)
        await asyncio.sleep(400)
        assert second.sent
        assert states(second) == [None]
        second.answer = lambda n: OK
        await second.until(lambda: states(second) == [State.delivered], seconds=400)
        await second.stop()

    run(tmp_path, live)


def test_a_machine_that_starts_with_an_earlier_clock_keeps_nobody_waiting_for_hours(tmp_path: Path) -> None:
    store = DeliveryStore(tmp_path / "delivery.db")
    position, now, ran = Position(0, 1), 1_750_000_000.0, 7_000.0
    clock = Clock(lambda: now, lambda: ran, "one start")
    clock_since(store, clock, Backoff())
    with store.transaction():
        store.set_progress(7, position, Progress(next_at=int(now * 1000) + 5_000, not_before=int(now * 1000), code="x"))
    now, ran = now - 10 * HOUR, 20.0
    clock_since(store, Clock(lambda: now, lambda: ran, "another"), Backoff(longest=300.0, asked=600.0))
    reader = DeliveryReader(tmp_path / "delivery.db")
    progress = reader.progress(7, position)
    assert progress is not None
    assert progress.next_at == (now + 300) * 1000
    assert progress.not_before == (now + 601) * 1000
    reader.close()
    store.close()


def test_only_the_moment_until_it_is_noticed_leaves_ages_undecided(tmp_path: Path) -> None:
    """The collector stamps by the wall clock: set back, what it stamps looks hours old until delivery has followed."""

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        loop.set_by -= 30 * HOUR
        road.log.add(paper.event(0, received_at=road.now()))
        await road.until(lambda: states(road) == [State.delivered])
        await road.stop()

    run(tmp_path, live)
