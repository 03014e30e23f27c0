"""A long, steady load and what is measured beside it, in memory that does not grow with the events."""

import threading
import time
from array import array
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from milonga.destinations.behavior import USUAL, Behaviors, Told
from tests.faults.mix import mix, number_of
from tests.faults.scene import KEY
from tests.faults.waits import share
from tests.memory import pss
from tests.running import Client, Crowd, Milonga, in_threads

SENDERS: Final = 2
BATCH: Final = 10


class Sample(Struct, frozen=True, kw_only=True):
    """
    at          seconds since the beginning
    sent        events that were acknowledged, in all
    arrived     of those that concern the receiver, in all
    waiting     acknowledged, and not yet arrived
    collector, delivery  bytes of memory (PSS)
    log, outcomes, store  bytes of files: of the log, of the outcomes, of delivery.db with its write-ahead log
    p50, p99    seconds from sending to arrival, of those that arrived since the last sample; None without any
    """

    at: float
    sent: int
    arrived: int
    waiting: int
    collector: int
    delivery: int
    log: int
    outcomes: int
    store: int
    p50: float | None
    p99: float | None


class Arrivals(Behaviors):
    """
    Counts what arrives, and checks the order of each user's and account's line as it comes.

    expected  numbers that must arrive: whoever sends notes them before
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent_at = array("d")  # by number; 0.0: not sent, or it concerns nobody
        self.arrived, self.twice = 0, 0
        self.reordered: list[str] = []
        self._came = bytearray()
        self._newest: dict[tuple[str, str], int] = {}
        self._waits: list[float] = []
        self._lock = threading.Lock()

    def sending(self, numbers: list[tuple[int, bool]]) -> None:
        """(number, whether it will arrive)"""
        now = time.monotonic()
        with self._lock:
            missing = max(number for number, _ in numbers) + 1 - len(self.sent_at)
            if missing > 0:
                self.sent_at.extend([0.0] * missing)
                self._came.extend(bytes(missing))
            for number, arrives in numbers:
                self.sent_at[number] = now if arrives else 0.0

    def decide(self, params: Mapping[str, Any]) -> Told:
        number, now = number_of(params), time.monotonic()
        if number is None:
            return USUAL
        with self._lock:
            if self._came[number]:
                self.twice += 1
            else:
                self._came[number] = 1
                self.arrived += 1
                self._waits.append(now - self.sent_at[number])
        key = (params.get("sdr_o", ""), params.get("sdr_u", ""))
        if number < self._newest.get(key, -1):
            self.reordered.append(f"event {number} came after event {self._newest[key]} of {'/'.join(key)}")
        else:
            self._newest[key] = number
        return USUAL

    def waits(self) -> list[float]:
        """Of those that arrived since this was asked last."""
        with self._lock:
            found, self._waits = self._waits, []
        return found

    def missing(self) -> list[int]:
        with self._lock:
            return [number for number, at in enumerate(self.sent_at) if at and not self._came[number]]


class Steady:
    """
    Senders that keep a pace, events a second of all together; None: as fast as they are acknowledged.

    acked  events that were acknowledged
    """

    def __init__(self, milonga: Milonga, seed: int, arrivals: Arrivals) -> None:
        self._port, self._arrivals = milonga.port, arrivals
        self._events = [mix(seed, sender, SENDERS) for sender in range(SENDERS)]
        self._lock = threading.Lock()
        self.acked = self.concern = 0

    def send(self, pace: float | None) -> "Spell":
        return Spell(self, pace)

    def one_batch(self, sender: int, client: Client) -> None:
        group = list(islice(self._events[sender], BATCH))
        self._arrivals.sending([(made.number, not made.skip) for made, _ in group])
        client.send([call for _, call in group])
        with self._lock:
            self.acked += BATCH
            self.concern += sum(not made.skip for made, _ in group)


class Spell:
    """All senders at work until `end`."""

    def __init__(self, steady: Steady, pace: float | None) -> None:
        self._steady, self._wait = steady, None if pace is None else BATCH * SENDERS / pace
        self._over = threading.Event()
        jobs = [(lambda sender=sender: self._run(sender)) for sender in range(SENDERS)]
        self._crowd: Crowd = in_threads(jobs)

    def end(self) -> None:
        self._over.set()
        self._crowd.join()

    @property
    def busy(self) -> bool:
        return self._crowd.busy

    def _run(self, sender: int) -> None:
        due = time.monotonic()
        with Client(self._steady._port, KEY) as client:
            while not self._over.is_set():
                self._steady.one_batch(sender, client)
                if self._wait is not None:
                    due = max(due + self._wait, time.monotonic() - 1.0)
                    self._over.wait(max(0.0, due - time.monotonic()))


def sample(milonga: Milonga, steady: Steady, arrivals: Arrivals, begun: float) -> Sample:
    found = arrivals.waits()
    data, delivery = milonga.data, milonga.delivery_pid()
    return Sample(
        at=time.monotonic() - begun,
        sent=steady.acked,
        arrived=arrivals.arrived,
        waiting=max(0, steady.concern - arrivals.arrived),
        collector=pss(milonga.pid),
        delivery=pss(delivery),
        log=size(data / "log"),
        outcomes=size(data / "outcomes"),
        store=sum(path.stat().st_size for path in data.glob("delivery.db*")),
        p50=share(found, 0.5) if found else None,
        p99=share(found, 0.99) if found else None,
    )


def size(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
