"""
One account floods, another is refused, a thousand others go on: how much later are their events delivered than before,
and where are they meanwhile? And does everything come in order, also after a SIGKILL in the middle?

An event is delivered when the receiver has answered. That is what the target speaks of; until its request is received
is told beside it, for there all of the difference arises: what the receiver takes, it takes in both cases.
"""

import os
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Final

from msgspec import Struct

from bench.arrivals import Arrivals
from bench.children import Child
from bench.flooding import FLOOD, OTHERS, PACE, REFUSED, USERS, Said, flood, others
from bench.measure import percentile
from bench.receiver import COUNT, Seen, receive
from bench.report import Found, Row, row
from bench.run import Run
from bench.serving import Server, add_totango
from bench.timeline import STEPS, Timeline, environment
from tests.memory import pss

WARM, QUIET, LOUD, AFTER = 3.0, 20.0, 40.0, 10.0  #: seconds: not counted, alone, beside the flood, after the SIGKILL
LATENCY: Final = 0.01  #: seconds, of the receiver
REAL_LATENCY: Final = 0.05  #: seconds, of a receiver as far away as a real one
PATIENCE: Final = 90.0  #: seconds for what is left then
CALM: Final = 3.0  #: seconds without a request, after which nothing more will come
LOOK: Final = 1.0  #: seconds between two looks at receiver and memory, which cost those that are looked at a little
WATCH: Final = 0.1  #: seconds between two looks at who waits for a core
MEGABYTE: Final = 1_000_000
LATER, SOON, MOST = 1.5, 10.0, 350
"""
Targets: p99 from accepted to answered beside the flood / alone, to a receiver at a real one's distance; milliseconds of
p99 until a receiver next door has it (docs/decisions/0030-two-numbers-set-anew.md); megabytes.
"""


class Ran(Struct, frozen=True):
    """
    alone, beside, after  what the others said before the flood, beside it, and after the SIGKILL, if there was one
    poured    when the flood began and when all of it was accepted, by perf_counter
    weights   bytes of both processes, the most: before the flood, beside it, from the SIGKILL on
    came      requests before the SIGKILL, the refused ones left out
    waited    which part of the time in which the flood came in each process's main thread waited for a core
    """

    alone: Said
    beside: Said
    after: Said | None
    poured: tuple[float, float]
    weights: tuple[int, int, int]
    came: int
    arrivals: Arrivals
    timeline: Timeline
    waited: dict[str, float]

    def waits(self, said: Said) -> list[float]:
        return self.arrivals.waits(said.accepted)


def isolation(run: Run) -> Found:
    """All of it on all cores, as in life: the kernel decides who runs where."""
    ran = _run(run, LATENCY, kill=True)
    real = _run(run, REAL_LATENCY, kill=False)
    at_first, middle, at_last = (weight / MEGABYTE for weight in ran.weights)
    arrivals, after = ran.arrivals, ran.after or Said({}, {})
    accepted = ran.alone.accepted | ran.beside.accepted | after.accepted
    rows = [
        *_waits(ran),
        *_steps(ran),
        *_real(real),
        row("memory beside the flood", [middle], "MB", limit=[at_first],
            limit_is="PSS of both processes before it, the most", at_most=MOST),
        row("memory from the SIGKILL to its end", [at_last], "MB", limit=[middle],
            limit_is="and beside it", at_most=MOST),
        row("out of order", [len(arrivals.out_of_order)], "events", at_most=0),
        row("in flight beside one of the same key", [arrivals.overlaps], "events", at_most=0),
        row("missing of the others", [arrivals.missing(accepted)], "events", at_most=0),
    ]  # fmt: skip
    return Found(rows, [*_notes(ran, after), _cores(ran)])


def _run(run: Run, latency: float, *, kill: bool) -> Ran:
    data, cores = run.fresh(), run.cores.all
    written = data.parent / f"{data.name}.timeline"
    after = None
    with (
        Child(receive, cores, latency, True, b"sdr_o=refused&") as receiver,
        Child(others, cores) as going_on,
        Child(flood, cores) as flooding,
    ):
        add_totango(data, receiver.hello, after=0)
        with Server(data, environment=environment(written)) as server, _Watch(server, receiver) as watch:
            going_on.ask((server.port, WARM))
            alone: Said = going_on.ask((server.port, QUIET))
            at_first = watch.heaviest()
            flooding.tell(server.port)
            beside: Said = going_on.ask((server.port, LOUD))
            poured: tuple[float, float] = flooding.hear()
            middle, came, waited = watch.heaviest(), watch.came, watch.waited(poured)
            if kill:
                os.kill(server.delivery_pid, signal.SIGKILL)
                after = going_on.ask((server.port, AFTER))
                watch.until_quiet()
            at_last = watch.heaviest()
        seen: Seen = receiver.ask("seen")
    return Ran(
        alone=alone,
        beside=beside,
        after=after,
        poured=poured,
        weights=(at_first, middle, at_last),
        came=came,
        arrivals=Arrivals(seen.kept, latency),
        timeline=Timeline(written),
        waited=waited,
    )


def _waits(ran: Ran) -> Iterable[Row]:
    quiet, loud = ran.waits(ran.alone), ran.waits(ran.beside)
    yield _delivered("accepted to answered, p99", ran, LATENCY, at_most=None)
    yield row("  to received, p99", [percentile(loud, 0.99)], "ms", limit=[percentile(quiet, 0.99)], at_most=SOON)
    yield row("  p50", [percentile(loud, 0.5)], "ms", limit=[percentile(quiet, 0.5)])
    yield row("  p90", [percentile(loud, 0.9)], "ms", limit=[percentile(quiet, 0.9)])
    yield row("  mean", [mean(loud)], "ms", limit=[mean(quiet)])
    yield row("  the longest", [max(loud)], "ms", limit=[max(quiet)])
    began, ended = ran.poured
    for what, since, until in (("the flood comes in", began, ended), ("it goes out", ended, float("inf"))):
        if some := ran.arrivals.waits(ran.beside.accepted, since, until):
            yield row(f"  p99 while {what}", [percentile(some, 0.99)], "ms", limit=[percentile(quiet, 0.99)])
    before, beside = ([(at - one.sent[n]) * 1000 for n, at in one.accepted.items()] for one in (ran.alone, ran.beside))
    yield row("sent to accepted, p99", [percentile(beside, 0.99)], "ms", limit=[percentile(before, 0.99)])


def _steps(ran: Ran) -> Iterable[Row]:
    """Of the slowest hundredth: where they were."""
    quiet, loud = (ran.timeline.steps(one.accepted, ran.arrivals.first) for one in (ran.alone, ran.beside))
    for step in STEPS:
        yield row(f"  slowest 1 %, {step}", [loud[step]], "ms", limit=[quiet[step]])


def _real(ran: Ran) -> Iterable[Row]:
    quiet, loud = ran.waits(ran.alone), ran.waits(ran.beside)
    yield _delivered(
        f"receiver of {REAL_LATENCY * 1000:g} ms: accepted to answered, p99", ran, REAL_LATENCY, at_most=LATER
    )
    yield row("  to received, p99", [percentile(loud, 0.99)], "ms", limit=[percentile(quiet, 0.99)])


def _delivered(what: str, ran: Ran, latency: float, *, at_most: float | None) -> Row:
    """latency  seconds that the receiver takes for each answer"""
    quiet, loud = (percentile(ran.waits(said), 0.99) + latency * 1000 for said in (ran.alone, ran.beside))
    limit_is = "the same without the flood, just before it"
    return row(what, [loud], "ms", limit=[quiet], limit_is=limit_is, at_most=at_most, of="ratio")


def _notes(ran: Ran, after: Said) -> Iterable[str]:
    began, ended = ran.poured
    yield (
        f"The flood: {FLOOD:,} events of {USERS:,} users of one account, accepted within {ended - began:.1f} s; "
        f"{ran.arrivals.flood:,} of them came, {ran.came:,} requests of all before the SIGKILL. {REFUSED} of another "
        f"account are answered with 503 throughout. {ran.arrivals.twice} requests came twice."
    )
    yield (
        f"The others: {OTHERS:,} accounts, {PACE} single events a second, {len(ran.alone.accepted):,} alone and "
        f"{len(ran.beside.accepted):,} beside the flood. The receiver takes {LATENCY * 1000:g} ms."
    )
    again = ran.waits(after)
    if again:
        yield (
            f"After the SIGKILL of delivery: p50 {percentile(again, 0.5):.0f} ms, p99 {percentile(again, 0.99):,.0f} "
            f"ms of what was accepted in the {AFTER:g} s after it, the restart included."
        )


def _cores(ran: Ran) -> str:
    began, until = ran.poured[0], max(ran.beside.accepted.values())  # a start has one of its own
    pauses = [took for took, at in ran.timeline.collected if began <= at <= until]
    waited = ", ".join(f"{who} {share:.0%}" for who, share in ran.waited.items())
    return (
        f"While the flood came in, main threads waited for a core: {waited} of the time. Garbage collections of over "
        f"1 ms in delivery beside it: {len(pauses)}, the longest {max(pauses, default=0.0):.0f} ms."
    )


class _Watch:
    """
    Asks the receiver how much came, weighs the server, and looks who waits for a core, in a thread.

    came  how many requests, the refused ones left out
    """

    def __init__(self, server: Server, receiver: Child) -> None:
        self.came = 0
        self._server, self._receiver = server, receiver
        self._most = 0
        self._waits: list[tuple[float, dict[str, float]]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def heaviest(self) -> int:
        """Bytes of both processes together, the most that was seen since this was asked last."""
        most, self._most = self._most, 0
        return most

    def waited(self, within: tuple[float, float]) -> dict[str, float]:
        """Which part of this time each process's main thread was ready to run, and did not."""
        inside = [one for one in self._waits if within[0] <= one[0] <= within[1]]
        if len(inside) < 2:
            return {}
        (first, before), (last, then) = inside[0], inside[-1]
        return {who: (then[who] - before[who]) / (last - first) for who in then}

    def until_quiet(self) -> None:
        """Nothing came for a while, or PATIENCE is at its end."""
        deadline, came = time.monotonic() + PATIENCE, -1
        while came < self.came and time.monotonic() < deadline:
            came = self.came
            time.sleep(CALM)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = 0.0
        while not self._stop.wait(WATCH):
            try:
                pids = self._server.pids
                who = dict(zip(("collector", "delivery", "receiver"), (*pids, self._receiver.pid), strict=True))
                self._waits.append((time.perf_counter(), {name: _waited(pid) for name, pid in who.items()}))
                if time.monotonic() < due:
                    continue
                due = time.monotonic() + LOOK
                self._most = max(self._most, sum(map(pss, pids)))
            except OSError:
                continue  # killed a moment ago
            seen: Seen = self._receiver.ask(COUNT)
            self.came = seen.count - seen.refused


def _waited(pid: int) -> float:
    """Seconds that its main thread was ready to run and had no core."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
