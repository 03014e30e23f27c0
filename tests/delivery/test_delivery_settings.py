"""What is set about the delivery to a destination holds at once, and harms nothing that is under way."""

import asyncio
from pathlib import Path

import pytest

from milonga.delivery.limits import Limits
from milonga.filters.rule import Filter
from milonga.outcomes.model import State
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run, states
from tests.delivery.test_manager import House, event, hook, until

ON, PAUSED = DestinationState.on, DestinationState.paused


def codes(road: Road) -> list[str | None]:
    found = [road.outcome(offset) for offset in range(1, road.log.ends()[0] + 1)]
    return [f"{outcome.state.name} {outcome.code}".strip() if outcome is not None else None for outcome in found]


# Filters and consent


def test_filters_and_consent_that_change_hold_for_what_waits_too(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503))
        for n in range(3):
            road.add(n, f"account-{n}")
        await road.until(lambda: len(road.sent) > 3)
        road.set(filters=(Filter(name="one", when='event == "e1"', do="drop"),))
        road.answer = lambda n: OK
        await road.until(lambda: None not in codes(road))
        assert codes(road) == ["delivered", "skipped filter:one", "delivered"]
        road.set(filters=(), consent_categories=("ads",))
        for n in range(3, 5):
            road.add(n, None, context={"groupId": "acme", "consent": {"categoryPreferences": {"ads": n == 3}}})
        await road.until(lambda: None not in codes(road))
        assert codes(road)[3:] == ["delivered", "skipped FILTERED_BY_END_USER_CONSENT"]
        await road.stop()

    run(tmp_path, live)


# Concurrency, rate, timeout


def test_fewer_requests_at_once_let_those_under_way_end_and_more_go_out_at_once(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, delivery=DeliverySettings(concurrency=20))
        road.latency = 10.0
        for n in range(100):
            road.add(n, f"account-{n}")
        await road.until(lambda: road.flying == 20)
        road.set(concurrency=3)
        await road.until(lambda: len(road.delivered) == 20, seconds=11)
        await asyncio.sleep(1)
        assert (road.flying, len(road.sent)) == (3, 23)
        road.set(concurrency=50)
        await road.until(lambda: road.flying == 50, seconds=1)
        await road.until(lambda: states(road) == [State.delivered] * 100, seconds=60)
        assert road.sent == list(range(100)), "none twice, in order"
        await road.stop()

    run(tmp_path, live)


def test_the_rate_holds_for_retries_and_further_requests_of_an_event_too(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: OK if n % 2 or road.sent.count(n) > 1 else answer(503))
        road.set(rate_limit=20.0)
        begun = loop.time()
        for n in range(50):
            road.add(n, f"account-{n}", parts=2)
        await road.until(lambda: states(road) == [State.delivered] * 50, seconds=60)
        assert len(road.sent) == 125
        assert loop.time() - begun == pytest.approx(125 / 20, rel=0.2)
        road.set(rate_limit=0.0)
        begun = loop.time()
        for n in range(100, 200):
            road.add(n, f"account-{n}")
        await road.until(lambda: states(road) == [State.delivered] * 150, seconds=3)
        await road.stop()

    run(tmp_path, live)


def test_the_next_request_has_the_timeout_that_is_set_now(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        road.add(0)
        await road.until(lambda: road.delivered == [0])
        road.set(timeout=2.5)
        road.add(1)
        await road.until(lambda: road.delivered == [0, 1])
        assert road.timeouts == [30.0, 2.5]
        await road.stop()

    run(tmp_path, live)


# Age


def test_a_shorter_maximum_age_ends_what_waits_in_memory_and_on_disk(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), Limits(lane=2))
        for n in range(5):
            road.add(n)
        road.add(5, "other")
        await asyncio.sleep(100)
        assert road.reader.parked_count(7) > 0
        assert states(road) == [None] * 6
        road.set(max_age=60)
        await road.until(lambda: codes(road) == ["expired too_old"] * 6, seconds=20)
        await road.stop()

    run(tmp_path, live)


# The retry window


@pytest.mark.parametrize("lane", [2, 100])
def test_what_still_fails_after_the_retry_window_expires_and_its_line_goes_on(tmp_path: Path, lane: int) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        settings = DeliverySettings(retry_window=120)
        road = Road(folder, loop, lambda n: OK if n else answer(503), Limits(lane=lane), delivery=settings)
        for n in range(6):
            road.add(n)
        await asyncio.sleep(115)
        assert states(road) == [None] * 6
        await road.until(lambda: codes(road) == ["expired tried_too_long"] + ["delivered"] * 5, seconds=20)
        outcome = road.outcome(1)
        assert outcome is not None
        assert 120_000 <= outcome.ended_at - outcome.received_at <= 122_000
        assert outcome.attempts == road.sent.count(0) > 5
        await road.until(lambda: not list(road.reader._db.execute("SELECT * FROM failing")))
        await road.stop()

    run(tmp_path, live)


def test_the_window_may_be_set_while_an_event_fails(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503))
        road.add(0)
        await asyncio.sleep(600)
        assert states(road) == [None]
        road.set(retry_window=60)
        await road.until(lambda: codes(road) == ["expired tried_too_long"], seconds=400)
        await road.stop()

    run(tmp_path, live)


def test_a_receiver_that_is_down_for_everybody_costs_nobody_the_window(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        settings = DeliverySettings(retry_window=10)
        road = Road(folder, loop, lambda n: OK if loop.time() > 200 else answer(503), delivery=settings)
        for n in range(40):
            road.add(n, f"account-{n % 20}")
        await road.until(lambda: states(road) == [State.delivered] * 40, seconds=400)
        assert len(road.sent) < 200
        await road.stop()

    run(tmp_path, live)


def test_neither_a_pause_nor_time_in_which_no_server_ran_counts(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        settings = DeliverySettings(retry_window=60)
        road = Road(folder, loop, lambda n: answer(503), delivery=settings)
        road.add(0)
        await asyncio.sleep(50)
        road.change(PAUSED)
        await asyncio.sleep(1_000)
        road.change(ON)
        await asyncio.sleep(50)
        assert states(road) == [None]
        await road.stop()
        await asyncio.sleep(1_000)
        again = Road(folder, loop, lambda n: answer(503), log=road.log, delivery=settings)
        await asyncio.sleep(50)
        assert states(again) == [None]
        await again.until(lambda: codes(again) == ["expired tried_too_long"], seconds=20)
        await again.stop()

    run(tmp_path, live)


def test_a_retry_after_beyond_the_window_is_waited_for(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        settings = DeliverySettings(retry_window=10)
        road = Road(
            folder, loop, lambda n: OK if len(road.sent) > 1 else answer(503, retry_after="100"), delivery=settings
        )
        road.add(0)
        await asyncio.sleep(99)
        assert len(road.sent) == 1
        await road.until(lambda: codes(road) == ["delivered"], seconds=5)
        await road.stop()

    run(tmp_path, live)


# Beside a workspace


def test_a_change_in_the_workspace_is_in_force_within_seconds(tmp_path: Path) -> None:
    with hook() as receiver:
        house = House(tmp_path, receiver)
        number = house.add("hook")
        receiver.behave(delay_ms=20)

        async def story(delivery: object) -> None:
            runner = delivery._runners[number]  # type: ignore[attr-defined]
            house.log.add(event(1))
            await until(lambda: len(house.received("hook")) == 1)
            house.workspace.set_settings(number, {"concurrency": 2, "rateLimit": 50})
            await until(lambda: runner[0].config.settings_version == 2, seconds=60)
            assert (runner[0]._work.line_up.turns.limit, runner[1]._max) == (2, 2)
            for n in range(2, 52):
                house.log.add(event(n, f"a{n}"))
            begun = asyncio.get_running_loop().time()
            await until(lambda: len(house.received("hook")) == 51, seconds=60)
            assert asyncio.get_running_loop().time() - begun >= (50 - 5) / 50 - 0.1

        house.live(story)
