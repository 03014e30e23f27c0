"""
A whole small world around one runner: a log that grows, a receiver with moods, a workspace, crashes. Files are real,
time and chance are not. Everything that must never happen is checked while it runs (`Receiver.send`), the rest at the
end (`judging.py`).
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from milonga.delivery.breaker import Policy
from milonga.delivery.clock import Clock, skips_after
from milonga.delivery.clock_set import clock_since, record_clock
from milonga.delivery.limits import Limits
from milonga.delivery.recorder import Recorder
from milonga.delivery.replay_rows import ReplayState
from milonga.delivery.retry import Backoff
from milonga.delivery.runner import Runner
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.delivery.tools import Tools
from milonga.destinations.contract import Key
from milonga.eventlog.api import Damaged, Position
from milonga.outcomes.model import Outcome
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from milonga.spec.read import read_stamped
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.chance import some_event
from tests.delivery.faketime import FakeThread, FakeTimeLoop
from tests.delivery.invariants import MOST, Invariants
from tests.delivery.moody import Receiver, WatchedOutcomes
from tests.delivery.paper import ListLog, Settings

TINY = Limits(
    window=20,
    lane=3,
    account=10,
    detours=2,
    blocked=0.2,
    loaded=4,
    probe=2.0,
    pinned=10**12,
    backoff=Backoff(first=0.2, longest=3.0, asked=20.0),
    breaker=Policy(failures=4, accounts=3, first=0.3, longest=2.0),
)


USUAL = DeliverySettings(concurrency=5, timeout=10.0, max_age=10**9)


class World:
    """
    One run, decided by its seed.

    unsettled  events the receiver has, of which no outcome is durable
    excused    events that may be there twice: in flight at a crash, or perhaps delivered
    """

    def __init__(self, folder: Path, loop: FakeTimeLoop, seed: int, *, events: int, limits: Limits = TINY) -> None:
        self.folder, self.loop, self.dice, self.limits = folder, loop, random.Random(seed), limits
        self.ages, self.windows = [USUAL.max_age], [0]
        if seed % 4 == 3:
            self.limits = msgspec.structs.replace(limits, pinned=30_000)
            self.ages = [6, 6, 4, USUAL.max_age]
        if seed % 4 == 1:
            self.windows = [0, 1, 3]
        self.kind = paper.BATCHED if seed % 3 == 2 else paper.DESTINATION
        self.partitions = self.dice.choice([1, 1, 2])
        self.log = ListLog(self.partitions)
        self.count = events
        self.keys: dict[int, tuple[Key, ...]] = {}
        self.accounts: dict[int, str] = {}
        self.places: dict[int, Position] = {}
        self.numbers: dict[Position, int] = {}
        self.arrived: dict[int, float] = {}  # by the loop's time, which nobody sets
        self.ended: dict[int, float] = {}
        self.poison: dict[int, int] = {}
        self.unsettled: set[int] = set()
        self.excused: set[int] = set()
        self.resent: set[int] = set()
        self.outcomes: dict[int, list[Outcome]] = defaultdict(list)
        self.receiver = Receiver(self)
        self.invariants = Invariants(self, msgspec.structs.replace(USUAL, max_age=self.ages[0]))
        on = paper.change(DestinationState.on, at=self.now())
        self.config = msgspec.structs.replace(paper.config(on), delivery=self.invariants.deliveries[-1])
        self.disk_full = False
        self.restarts = self.asked = self.edited = 0
        self.clocks = 2 if seed % 2 else 0
        self.replays = 2 if seed % 5 < 2 else 0
        self.booted = "at first"
        self._change_at_once = self.dice.random() < 0.5
        self._open()

    def now(self) -> int:
        return int(self.loop.clock() * 1000)

    # The process and its end

    def _open(self) -> None:
        store = DeliveryStore(self.folder / "delivery.db")
        store.transaction().execute("PRAGMA synchronous = OFF")
        self.clock = Clock(self.loop.clock, self.loop.time, self.booted)
        self.skips = clock_since(store, self.clock, self.limits.backoff)
        writer = WatchedOutcomes(self.folder / "outcomes", self.loop.clock, self._durable)
        self._files: list[DeliveryStore | OutcomeWriter | DeliveryReader] = [store, writer]
        self.reader = DeliveryReader(self.folder / "delivery.db")
        self._thread = FakeThread(lambda: self.dice.uniform(0.0005, 0.01), self._fault)
        self.recorder = Recorder(store, writer, self._thread)
        self.outcome_reader = OutcomeReader(self.folder / "outcomes")
        tools = Tools(
            log=self.log,
            reader=self.reader,
            outcomes=self.outcome_reader,
            recorder=self.recorder,
            sender=self.receiver,
            clock=self.clock,
            dice=self.dice.random,
            skips=self.skips,
            in_step=self.clock.is_in_step,
            change_state=self._pipeline_decides,
            aside=FakeThread(lambda: self.dice.uniform(0.0005, 0.01)),
        )
        self.invariants.opened()
        self.runner = Runner(self.config, self.kind, tools, self.limits)
        self.running = asyncio.get_running_loop().create_task(self.runner.run())
        self.restarts += 1

    def _fault(self) -> Exception | None:
        return apsw.FullError("disk full") if self.disk_full or self.dice.random() < 0.002 else None

    async def crash(self) -> None:
        """As SIGKILL would: what is not committed is lost, nobody says good-bye."""
        self._thread.crashed = True
        self.receiver.crash()
        self.excused |= self.unsettled
        self.runner._work.stopping = True
        self.runner._parking.stop()
        for task in (self.running, self.recorder._writing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        self._close()

    async def stop(self) -> None:
        await self.runner.stop(self.dice.choice([0.0, 0.05, 3.0]))
        self.receiver.cut()
        self.running.cancel()
        await asyncio.wait([self.running])
        self.disk_full = False
        await self.recorder.flush()
        self.receiver.crash()
        self._close()

    def _close(self) -> None:
        for file in (*self._files, self.reader):
            file.close()

    async def set_clock(self) -> None:
        """By hours, while delivery runs or while it does not."""
        seconds = self.dice.choice([-1, 1]) * self.dice.uniform(2.0, 90_000.0)
        if self.dice.random() < 0.3:
            await self.crash()
            self.loop.set_by += seconds
            self._open()
            return
        self.loop.set_by += seconds
        await asyncio.sleep(self.dice.uniform(0, 0.5))  # until it is noticed
        before, seconds = self.clock(), self.clock.follow()
        self.skips = skips_after(self.skips, int(before * 1000), int(self.clock() * 1000))
        self.runner.clock_set(seconds, self.skips)
        record_clock(self.recorder, self.clock, seconds, self.skips)

    async def restart(self) -> None:
        if self.dice.random() < 0.7:
            await self.crash()
        else:
            await self.stop()
        if self.dice.random() < 0.2:
            self.change(self.another_state(), tell=False)
        if self.dice.random() < 0.2:
            self.booted = f"at {self.loop.time()}"
        self._open()

    # The workspace

    def change(self, state: DestinationState, by: str = "cli", *, tell: bool = True) -> None:
        if state is self.config.state:
            return
        change = paper.change(state, self.now(), by, end=self.log.ends())
        self.config = msgspec.structs.replace(self.config, changes=(*self.config.changes, change))
        if tell:
            self.runner.update(self.config)

    def new_settings(self) -> None:
        version = self.config.settings_version + 1
        self.config = msgspec.structs.replace(
            self.config, settings_version=version, settings=Settings(f"word-{version}")
        )
        self.runner.update(self.config)

    def new_delivery(self) -> None:
        dice = self.dice
        delivery = DeliverySettings(
            concurrency=dice.choice([1, 2, 5, MOST]),
            rate_limit=dice.choice([0.0, 2.5, 20.0, 200.0]),
            timeout=dice.choice([10.0, 2.0, 0.05]),
            max_age=dice.choice(self.ages),
            retry_window=dice.choice(self.windows),
        )
        self.invariants.changes(delivery)
        version = self.config.settings_version + 1
        self.config = msgspec.structs.replace(self.config, settings_version=version, delivery=delivery)
        self.runner.update(self.config)

    def _pipeline_decides(self, _: int, state: DestinationState, by: str, reason: str) -> None:
        runner = self.runner

        def carry_out() -> None:
            if self.config.state is not DestinationState.off:
                self.change(state, by, tell=False)
            if runner is self.runner:
                runner.update(self.config)

        if self._change_at_once:
            carry_out()
        else:
            self.loop.call_later(self.dice.uniform(0, 0.5), carry_out)

    def another_state(self) -> DestinationState:
        return self.dice.choice([DestinationState.on, DestinationState.paused, DestinationState.off])

    # Its events

    async def events_come(self) -> None:
        dice = self.dice
        for n in range(self.count):
            if dice.random() < 0.3:
                await asyncio.sleep(dice.expovariate(1 / 0.15))
            self.add(n)

    def add(self, n: int) -> None:
        dice = self.dice
        account, stamped = some_event(n, dice, self.now())
        # By the account's number, which a product account shares.
        position = self.log.add(stamped, sum(account.encode()) % self.partitions)
        self.arrived[n] = self.loop.time()
        self.keys[n] = paper.keys(read_stamped(stamped))
        self.accounts[n], self.places[n], self.numbers[position] = account, position, n
        if dice.random() < 0.01:
            self.log.events[position.partition][-1] = Damaged(position, "checksum")
        if dice.random() < 0.02:
            self.poison[n] = dice.choice([400, 403, 403, 401])

    def replay_of(self, n: int) -> int:
        """On its way for which replay; 0: none."""
        return self.runner._work.replay_of(self.places[n])

    async def calm_down(self) -> None:
        """Everything works from now on; wait until nothing is left to do."""
        self.receiver.calm, self.receiver.mood = True, None
        self.disk_full = False
        self.change(DestinationState.on)
        for _ in range(600):
            await asyncio.sleep(1.0)
            if self.running.done():
                self.running.result()
            if self.config.state is not DestinationState.on:
                self.change(DestinationState.on)
            if (held := self.reader.replays.first_unfinished(self.config.id)) is not None:
                self.runner.replaying.set_state(held.id, ReplayState.running, "")
            if self._is_done():
                return
        raise AssertionError(f"never done: {self._left()}")

    def _is_done(self) -> bool:
        number = self.config.id
        ends = self.log.ends()
        return (
            all(self.reader.position(number, p) == end for p, end in ends.items() if end)
            and self.reader.parked_count(number) == 0
            and not self.runner._work.detours
            and self.reader.replays.first_unfinished(number) is None
            and self.recorder._writing is None
        )

    def _left(self) -> dict[str, Any]:
        number = self.config.id
        work = self.runner._work
        return {
            "positions": {p: (self.reader.position(number, p), end) for p, end in self.log.ends().items()},
            "parked": self.reader.parked_count(number),
            "in memory": [(e.position, e.stage.value, e.keys) for e in work.line_up.everything()],
            "detours": [(d.leader, d.begins, d.upto, d.window.read_to, len(d.window)) for d in work.detours],
            "breaker": work.breaker.state,
            "slots": work.slots,
            "state": self.config.state,
            "asked": work.asked,
            "loaded": self.runner._parking.lines.loaded,
            "in hand": self.runner._parking.lines.in_hand,
            "next due": self.reader.next_due(number),
            "errors": self.loop.errors,
        }

    def _durable(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            n = self.numbers[outcome.position]
            self.outcomes[n].append(outcome)
            self.ended[n] = self.loop.time()
            self.unsettled.discard(n)
            self.receiver.not_before.pop(n, None)
