"""One account's trouble is nobody else's. Time is fake, so a wait of the others would show as time that passed."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from milonga.delivery.limits import Limits
from milonga.delivery.outgoing import Outgoing, Reply
from milonga.delivery.recorder import Recorder
from milonga.delivery.runner import Runner
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.tools import Tools
from milonga.destinations.contract import Answer
from milonga.outcomes.files import OutcomeReader, OutcomeWriter
from milonga.outcomes.model import State
from tests.delivery import paper
from tests.delivery.faketime import FakeThread, FakeTimeLoop

LATENCY = 0.05
OK = Answer(200, {}, b"")


class Road:
    """A runner with everything it needs; `answer` says what the receiver answers to the n-th event."""

    def __init__(self, folder: Path, loop: FakeTimeLoop, limits: Limits, answer: Callable[[int], Answer]) -> None:
        self.loop, self.log, self._answer = loop, paper.ListLog(), answer
        self.sent_at: dict[int, float] = {}
        self.delivered: list[int] = []
        store = DeliveryStore(folder / "delivery.db")
        store.transaction().execute("PRAGMA synchronous = OFF")
        self.recorder = Recorder(store, OutcomeWriter(folder / "outcomes", loop.clock), FakeThread(lambda: 0.002))
        self.reader = DeliveryReader(folder / "delivery.db")
        self.outcomes = OutcomeReader(folder / "outcomes")
        tools = Tools(
            log=self.log,
            reader=self.reader,
            outcomes=self.outcomes,
            recorder=self.recorder,
            sender=self,
            clock=loop.clock,
            dice=random.Random(1).random,
            change_state=lambda *_: None,
        )
        self.runner = Runner(paper.config(), paper.DESTINATION, tools, limits)
        self._task = loop.create_task(self.runner.run())

    def send(self, outgoing: Outgoing, done: Callable[[Reply, float], None]) -> None:
        n = msgspec.json.decode(outgoing.body)["n"]
        self.sent_at.setdefault(n, self.loop.time())
        reply = self._answer(n)

        def end() -> None:
            if reply is OK:
                self.delivered.append(n)
            done(reply, LATENCY)

        self.loop.call_later(LATENCY, end)

    def add(self, n: int, account: str, user: str = "ada") -> None:
        self.log.add(paper.event(n, account, user, received_at=int(self.loop.clock() * 1000)))

    async def until(self, done: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not done():
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        await self.runner.stop(1.0)
        await self._task
        await self.recorder.close()
        self.reader.close()


def run(folder: Path, live: Callable[[Path, FakeTimeLoop], Coroutine[Any, Any, None]]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    loop = FakeTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(live(folder, loop))
    assert not loop.errors


async def others_took(folder: Path, loop: FakeTimeLoop, status: int, limits: Limits) -> float:
    """Seconds until 1,000 accounts have everything, while one account's requests all end with this status."""
    road = Road(folder, loop, limits, lambda n: OK if n % 10 else Answer(status, {}, b""))
    for n in range(10_000):
        road.add(n, f"account-{n // 10}" if n % 10 else "trouble", f"u{n % 3}")
    others = 9_000
    await road.until(lambda: sum(1 for n in road.delivered if n % 10) == others, seconds=600)
    took = loop.time()
    assert road.delivered.count(1) == 1
    await road.stop()
    return took


@pytest.mark.parametrize("limits", [Limits(), Limits(window=200, lane=20, in_flight=16)])
def test_an_account_whose_requests_all_fail_costs_the_others_next_to_nothing(tmp_path: Path, limits: Limits) -> None:
    took: dict[int, float] = {}
    for status in (200, 503):

        async def live(folder: Path, loop: FakeTimeLoop, status: int = status) -> None:
            folder.mkdir()
            took[status] = await others_took(folder, loop, status, limits)

        run(tmp_path / str(status), live)
    assert took[503] <= 1.2 * took[200]


@pytest.mark.parametrize("users", [1, 50])
def test_a_flood_of_one_account_starves_nobody(tmp_path: Path, users: int) -> None:
    flood, limits = 20_000, Limits()

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits, lambda n: OK)
        lines = road.runner._work.line_up
        most = 0
        for n in range(flood):
            road.add(n, "hot", f"u{n % users}")
        for n in range(flood, flood + 1_000):
            road.add(n, f"account-{n}")
        others = set(range(flood, flood + 1_000))
        while not others <= set(road.delivered[-3_000:]) | {n for n in others if n in road.sent_at}:
            await asyncio.sleep(0.01)
            most = max(most, len(lines))
        # Alone they would need 1,000 / 64 turns of the receiver's latency. Every other turn is theirs.
        alone = 1_000 / limits.in_flight * LATENCY
        assert loop.time() <= 3 * alone
        assert most <= limits.window + limits.loaded
        await road.until(lambda: (road.reader.position(7, 0) or 0) == flood + 1_000, seconds=20)
        assert road.reader.parked_count(7) > flood / 2, "the watermark did not wait for the flood"
        before = len(road.delivered)
        await asyncio.sleep(60)
        assert len(road.delivered) - before >= min(users, 20) * 60 / LATENCY / 2, "the flood itself goes on"
        hot = [n for n in road.delivered if n < flood]
        for user in range(users):
            mine = [n for n in hot if n % users == user]
            assert mine == list(range(user, flood, users))[: len(mine)], "in order"
        await road.stop()

    run(tmp_path, live)


def test_a_parked_flood_and_fresh_events_take_turns(tmp_path: Path) -> None:
    limits = Limits(in_flight=4, loaded=64, lane=2, account=10)

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits, lambda n: OK)
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
        road = Road(folder, loop, Limits(), lambda n: OK if loop.time() >= up_again else Answer(503, {}, b""))
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
