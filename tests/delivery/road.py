"""A runner with everything it needs, on fake time, and a receiver that answers as it is told."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from milonga.delivery.clock import Clock, skips_after
from milonga.delivery.clock_set import clock_since, record_clock
from milonga.delivery.limits import Limits
from milonga.delivery.outgoing import Outgoing, Reply
from milonga.delivery.recorder import Recorder
from milonga.delivery.runner import Runner
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.tools import Tools
from milonga.destinations.contract import Answer, Destination
from milonga.eventlog.api import Position
from milonga.outcomes.model import Attempt, Outcome, State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from milonga.privacy.regulation import Doomed
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationConfig, DestinationState
from tests.delivery import paper
from tests.delivery.faketime import FakeThread, FakeTimeLoop

LATENCY = 0.05
OK = Answer(200, {}, b"")


def answer(status: int, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"no")


class _Watched(OutcomeWriter):
    """Remembers the newest durable outcome of each event, which is quicker to ask than files."""

    def __init__(self, folder: Path, clock: Callable[[], float], durable: dict[Position, Outcome]) -> None:
        super().__init__(folder, clock)
        self._db.execute("PRAGMA synchronous = OFF")
        self._durable = durable

    def write(self, outcomes: Sequence[Outcome], attempts: Sequence[Attempt] = ()) -> None:
        super().write(outcomes, attempts)
        self._durable.update((outcome.position, outcome) for outcome in outcomes)


class Road:
    """
    answer     what the receiver answers to the n-th event; None: it never does
    sent       numbers of the events in order of their requests, repeated ones too
    sent_at    when each was sent first
    delivered  in order of the answers
    parts      (n, part) of all requests
    loads      the numbers in each request; what one of them is answered other than OK holds for all
    timeouts   of the requests, in seconds
    """

    def __init__(
        self,
        folder: Path,
        loop: FakeTimeLoop,
        answer: Callable[[int], Reply | None] = lambda n: OK,
        limits: Limits | None = None,
        *,
        log: paper.ListLog | None = None,
        config: DestinationConfig | None = None,
        delivery: DeliverySettings | None = None,
        kind: Destination = paper.DESTINATION,
        thread: FakeThread | None = None,
        has_room: Sequence[bool] = (True,),
        doomed: Callable[[], Doomed] = Doomed,
    ) -> None:
        self.loop, self.log, self.answer = loop, log or paper.ListLog(), answer
        self.latency = LATENCY
        self.sent: list[int] = []
        self.loads: list[list[int]] = []
        self.sent_at: dict[int, float] = {}
        self.delivered: list[int] = []
        self.parts: list[tuple[int, str]] = []
        self.timeouts: list[float] = []
        self.flying = 0
        self.config = config or paper.config()
        if delivery is not None:
            self.config = msgspec.structs.replace(self.config, delivery=delivery)
        store = DeliveryStore(folder / "delivery.db")
        store.transaction().execute("PRAGMA synchronous = OFF")
        self.thread = thread or FakeThread(lambda: 0.002)
        self.clock = Clock(loop.clock, loop.time, "boot")
        self.skips = clock_since(store, self.clock, (limits or Limits()).backoff)
        self.durable: dict[Position, Outcome] = {}
        self.recorder = Recorder(store, _Watched(folder / "outcomes", loop.clock, self.durable), self.thread)
        self.reader = DeliveryReader(folder / "delivery.db")
        self.outcomes = OutcomeReader(folder / "outcomes")
        tools = Tools(
            log=self.log,
            reader=self.reader,
            outcomes=self.outcomes,
            recorder=self.recorder,
            sender=self,
            clock=self.clock,
            skips=self.skips,
            in_step=self.clock.is_in_step,
            dice=random.Random(1).random,
            change_state=self._change_state,
            has_room=lambda: has_room[0],
            doomed=doomed,
            aside=self.thread,
        )
        self.runner = Runner(self.config, kind, tools, limits or Limits())
        self.work = self.runner._work
        self.running = loop.create_task(self.runner.run())

    def send(self, outgoing: Outgoing, done: Callable[[Reply, float], None]) -> None:
        said = paper.said_in(outgoing.body)
        numbers = [one["n"] for one in said]
        self.loads.append(numbers)
        self.sent += numbers
        self.parts += [(one["n"], one["part"]) for one in said]
        for n in numbers:
            self.sent_at.setdefault(n, self.loop.time())
        self.timeouts.append(outgoing.timeout)
        self.flying += 1
        replies = [self.answer(n) for n in numbers]
        reply = next((reply for reply in replies if reply is not OK), OK)
        if reply is None:
            return

        def end() -> None:
            self.flying -= 1
            if reply is OK:
                self.delivered += numbers
            done(reply, self.latency)

        self.loop.call_later(self.latency, end)

    def set_clock(self, seconds: float) -> None:
        """Of the machine; and the runner learns of it, as from the manager."""
        self.loop.set_by += seconds
        before = int(self.clock() * 1000)
        self.skips = skips_after(self.skips, before, before + round(self.clock.follow() * 1000))
        self.runner.clock_set(seconds, self.skips)
        record_clock(self.recorder, self.clock, seconds, self.skips)

    def add(self, n: int, account: str | None = "acme", user: str | None = "ada", **said: Any) -> Position:
        return self.log.add(paper.event(n, account, user, received_at=self.now(), **said))

    def now(self) -> int:
        return int(self.loop.clock() * 1000)

    def set(self, **settings: Any) -> None:
        """Delivery settings, by attribute."""
        self.config = msgspec.structs.replace(
            self.config,
            settings_version=self.config.settings_version + 1,
            delivery=msgspec.structs.replace(self.config.delivery, **settings),
        )
        self.runner.update(self.config)

    def change(self, state: DestinationState, by: str = "cli", reason: str = "") -> None:
        change = paper.change(state, self.now(), by, reason, end=self.log.ends())
        self.config = msgspec.structs.replace(self.config, changes=(*self.config.changes, change))
        self.runner.update(self.config)

    def _change_state(self, _: int, state: DestinationState, by: str, reason: str) -> None:
        self.change(state, by, reason)

    def outcome(self, offset: int) -> Outcome | None:
        return self.durable.get(Position(0, offset))

    async def until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        """Fake seconds, so that this costs next to nothing."""
        async with asyncio.timeout(seconds):
            while not done():  # noqa: ASYNC110 - there is no event for "whatever a test looks at"
                await asyncio.sleep(0.01)

    async def stop(self, grace: float = 1.0) -> None:
        await self.runner.stop(grace)
        await self.running
        await self.recorder.close()
        self.reader.close()


def states(road: Road) -> list[State | None]:
    """Of the log's events, in order; None while there is no outcome."""
    found = [road.outcome(offset) for offset in range(1, road.log.ends()[0] + 1)]
    return [outcome.state if outcome is not None else None for outcome in found]


def run(folder: Path, live: Callable[[Path, FakeTimeLoop], Coroutine[Any, Any, None]]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    folder.mkdir(exist_ok=True)
    loop = FakeTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(live(folder, loop))
    assert not loop.errors, loop.errors
