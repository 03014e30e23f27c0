"""One account's trouble is nobody else's. Time is fake, so a wait of the others would show as time that passed."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from milonga.delivery.limits import Limits
from milonga.delivery.outgoing import NoAnswer, Outgoing, Reply
from milonga.outcomes.model import State
from milonga.workspace.delivery_settings import DeliverySettings
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import LATENCY, OK, Road, answer, run

USUAL = DeliverySettings()


async def others_took(folder: Path, loop: FakeTimeLoop, status: int, limits: Limits, concurrency: int) -> float:
    """Seconds until 400 accounts have everything, while one account's requests all end with this status."""
    settings = DeliverySettings(concurrency=concurrency)
    road = Road(folder, loop, lambda n: OK if n % 10 else answer(status), limits, delivery=settings)
    for n in range(4_000):
        road.add(n, f"account-{n // 10}" if n % 10 else "trouble", f"u{n % 3}")
    others = 3_600
    await road.until(lambda: sum(1 for n in road.delivered if n % 10) == others, seconds=600)
    took = loop.time()
    assert road.delivered.count(1) == 1
    await road.stop()
    return took


@pytest.mark.parametrize(("limits", "concurrency"), [(Limits(), 64), (Limits(window=200, lane=20), 16)])
def test_an_account_whose_requests_all_fail_costs_the_others_next_to_nothing(
    tmp_path: Path, limits: Limits, concurrency: int
) -> None:
    took: dict[int, float] = {}
    for status in (200, 503):

        async def live(folder: Path, loop: FakeTimeLoop, status: int = status) -> None:
            took[status] = await others_took(folder, loop, status, limits, concurrency)

        run(tmp_path / str(status), live)
    assert took[503] <= 1.2 * took[200]


@pytest.mark.parametrize("users", [200, 2_000])
def test_an_account_whose_requests_all_hang_delays_nobody(tmp_path: Path, users: int) -> None:
    others = range(10_000, 11_000)

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: OK if n >= others.start else None)
        for n in range(users):
            road.add(n, "hung", f"u{n}")
        await asyncio.sleep(5)
        assert road.flying == USUAL.concurrency / 2
        begun = loop.time()
        for n in others:
            road.add(n, f"account-{n}")
        await road.until(lambda: len(road.delivered) == len(others), seconds=5)
        alone = len(others) / USUAL.concurrency * LATENCY
        assert loop.time() - begun <= 3 * alone, "half of the slots are theirs"
        await road.stop(0.0)

    run(tmp_path, live)


def test_many_accounts_that_hang_share_a_few_slots_once_they_have_shown_it(tmp_path: Path) -> None:
    others = range(100_000, 101_000)

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        def answered(n: int) -> Reply:
            road.latency = LATENCY if n >= others.start else USUAL.timeout
            return OK if n >= others.start else NoAnswer("timeout", "Nothing came.", perhaps=True)

        road = Road(folder, loop, answered)
        for n in range(2_000):
            road.add(n, f"hung-{n % 20}", f"u{n}")
        for n in range(1_000):
            road.add(others.start + 5_000 + n, f"alive-{n}")  # otherwise the destination would seem to be down
            await asyncio.sleep(0.1)
        assert road.work.breaker.is_closed
        assert 0 < road.flying <= USUAL.concurrency // 8
        begun = loop.time()
        before = len(road.delivered)
        for n in others:
            road.add(n, f"account-{n}")
        await road.until(lambda: len(road.delivered) - before == len(others), seconds=20)
        alone = len(others) / USUAL.concurrency * LATENCY
        assert loop.time() - begun <= 2 * alone
        await road.stop(0.0)

    run(tmp_path, live)


def test_what_hangs_does_not_hold_up_a_full_window(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: OK if n >= 1_000 else None)
        for n in range(300):
            road.add(n, "hung", f"u{n}")
        for n in range(10_000, 20_000):
            road.add(n, f"account-{n % 1_000}")
        begun = loop.time()
        await road.until(lambda: len(road.delivered) == 10_000, seconds=60)
        alone = 10_000 / USUAL.concurrency * LATENCY
        assert loop.time() - begun <= 3 * alone
        await road.stop(0.0)

    run(tmp_path, live)


def test_parked_lines_of_an_account_that_hangs_leave_room_in_memory_for_those_of_others(tmp_path: Path) -> None:
    limits, settings = Limits(loaded=32, lane=2), DeliverySettings(concurrency=16)

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: OK if n >= 10_000 else None, limits, delivery=settings)
        lines = road.runner._parking.lines
        for n in range(600):
            road.add(n, "hung", f"u{n % 200}")
        await asyncio.sleep(60)
        assert road.reader.parked_count(7) == 600
        assert road.flying == settings.concurrency / 2
        assert lines.loaded == limits.loaded / 2, "it has its share"
        for round_ in range(3):
            first = 10_000 + 1_000 * round_
            for n in range(first, first + 100):
                road.add(n, f"burst-{round_}", "ada")
            begun = loop.time()
            await road.until(lambda: len(road.delivered) == 100 * (round_ + 1), seconds=60)  # noqa: B023
            assert loop.time() - begun <= 100 * (LATENCY + 0.02), "one after the other, without a wait between"
        assert road.delivered == sorted(road.delivered)
        await road.stop(0.0)
        again = Road(folder, loop, limits=limits, log=road.log, delivery=settings)
        await again.until(lambda: len(again.delivered) == 600, seconds=30)
        await again.until(lambda: again.reader.parked_count(7) == 0, seconds=1)
        assert not again.runner._parking.lines._aside, "nothing is remembered of it"
        await again.stop()

    run(tmp_path, live)


@pytest.mark.parametrize("users", [1, 50])
def test_a_flood_of_one_account_starves_nobody(tmp_path: Path, users: int) -> None:
    flood, limits = 20_000, Limits()

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=limits)
        lines = road.runner._work.line_up
        most = 0
        for n in range(flood):
            road.add(n, "hot", f"u{n % users}")
        for n in range(flood, flood + 1_000):
            road.add(n, f"account-{n}")
        others = set(range(flood, flood + 1_000))
        while not others <= road.sent_at.keys():
            await asyncio.sleep(0.01)
            most = max(most, len(lines))
        # Alone they would need 1,000 / 64 turns of the receiver's latency. Every other turn is theirs.
        alone = 1_000 / USUAL.concurrency * LATENCY
        assert loop.time() <= 3 * alone
        assert most <= limits.window + limits.loaded + limits.account
        await road.until(lambda: (road.reader.position(7, 0) or 0) == flood + 1_000, seconds=20)
        assert len(road.delivered) < flood / 2, "the watermark did not wait for the flood"
        before = len(road.delivered)
        await asyncio.sleep(10)
        assert len(road.delivered) - before >= min(users, 20) * 10 / LATENCY / 2, "the flood itself goes on"
        hot = [n for n in road.delivered if n < flood]
        for user in range(users):
            mine = [n for n in hot if n % users == user]
            assert mine == list(range(user, flood, users))[: len(mine)], "in order"
        await road.stop()

    run(tmp_path, live)


def test_a_parked_flood_and_fresh_events_take_turns(tmp_path: Path) -> None:
    limits, settings = Limits(loaded=64, lane=2, account=10, detours=0), DeliverySettings(concurrency=4)

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=limits, delivery=settings)
        for n in range(4_000):
            road.add(n, "hot", f"u{n % 100}")
        await asyncio.sleep(5)
        assert road.reader.parked_count(7) > 1_000
        for n in range(10_000, 10_100):
            begun = loop.time()
            road.add(n, f"account-{n}")
            await road.until(lambda n=n: n in road.delivered[-20:], seconds=5)  # type: ignore[misc]
            assert loop.time() - begun <= 4 * LATENCY
        await road.stop()

    run(tmp_path, live)


def test_a_destination_that_is_down_is_left_alone_but_for_probes(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        up_again = 120.0
        road = Road(folder, loop, lambda n: OK if loop.time() >= up_again else answer(503))
        tries = 0
        for n in range(3_000):
            road.add(n, f"account-{n % 500}")
        send = road.send

        def counted(outgoing: Outgoing, done: Callable[[Reply, float], None]) -> None:
            nonlocal tries
            tries += 1
            send(outgoing, done)

        road.send = counted  # type: ignore[method-assign]
        await asyncio.sleep(up_again - 1)
        assert tries <= 150, "hardly anything is sent while it is down"
        await road.until(lambda: len(road.delivered) == 3_000, seconds=100)
        for account in range(500):
            mine = [n for n in road.delivered if n % 500 == account]
            assert mine == sorted(mine)
        await asyncio.sleep(2)
        assert road.outcomes.totals() == {(7, State.delivered, ""): 3_000}
        assert road.reader.position(7, 0) == 3_000
        await road.stop()

    run(tmp_path, live)
