"""Memory of all processes under load, and whether a backlog makes an event dearer."""

import threading
import time
from pathlib import Path

from msgspec import Struct

from bench.children import Child
from bench.load import Load, Took, generate
from bench.measure import cpu_of
from bench.receiver import receive
from bench.report import Found, row
from bench.run import Run
from bench.serving import Server, add_totango, remove_totango
from tests.memory import pss

LATENCY = 0.01
SECONDS = 3.0
PACE = 3_000  #: events per second that come in while the backlog goes out
MEGABYTE = 1_000_000
MOST, DEARER = 350, 1.2  #: targets: megabytes; cost with a backlog / cost without


def memory(run: Run) -> Found:
    """The same load on a Milonga with nothing stored and on one with a backlog: single events in, requests out."""
    empty: list[_Weight] = []
    full: list[_Weight] = []
    for _ in range(max(1, run.rounds - 1)):
        empty.append(_under_load(run, run.fresh()))
        full.append(_under_load(run, run.filled()))
    limit_is = "the same load without a backlog"
    rows = [
        row(
            "PSS of all processes",
            [one.megabytes for one in full],
            "MB",
            limit=[one.megabytes for one in empty],
            limit_is=limit_is,
            at_most=MOST,
        ),
        row(
            "cost of an event, in and out",
            [one.both for one in full],
            "us",
            limit=[one.both for one in empty],
            limit_is=limit_is,
            at_most=DEARER,
            of="ratio",
        ),
        row("  accepted", [one.accepted for one in full], "us", limit=[one.accepted for one in empty]),
        row("  delivered", [one.delivered for one in full], "us", limit=[one.delivered for one in empty]),
    ]
    note = (
        f"{run.stored:,} events of backlog; {PACE:,} single events a second come in, delivery sends what it can "
        f"({LATENCY * 1000:g} ms latency). PSS is the most that was seen, every 0.2 s."
    )
    return Found(rows, [note, run.shared])


class _Weight(Struct, frozen=True, kw_only=True):
    """
    accepted, delivered  microseconds of CPU for one event
    megabytes            at most
    """

    accepted: float
    delivered: float
    megabytes: float

    @property
    def both(self) -> float:
        return self.accepted + self.delivered


def _under_load(run: Run, data: Path) -> _Weight:
    with (
        Child(generate, run.cores.others) as generator,
        Child(receive, run.cores.others, LATENCY, False) as receiver,
    ):
        add_totango(data, receiver.hello, after=0)
        try:
            with Server(data, run.cores) as server:
                time.sleep(1.0)  # delivery is up and at work
                weighing = _Weighing(server.pids)
                receiver.ask("seen")
                went = cpu_of(server.delivery_pid)
                took: Took = generator.ask(
                    Load(port=server.port, seconds=SECONDS, per_second=PACE, watch=(server.pid,))
                )
                went = cpu_of(server.delivery_pid) - went
                sent = receiver.ask("seen").count
                most = weighing.stop()
        finally:
            remove_totango(data)
    return _Weight(
        accepted=sum(took.cpu.values()) / took.events * 1e6, delivered=went / sent * 1e6, megabytes=most / MEGABYTE
    )


class _Weighing:
    """Looks five times a second, in a thread."""

    def __init__(self, pids: tuple[int, ...]) -> None:
        self._pids, self._most, self._stop = pids, 0, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            self._most = max(self._most, sum(map(pss, self._pids)))

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self._most
