"""
A long steady load: memory, files and latency must not creep.

    python -m tests.faults.soak --minutes 30                         at half of the rate that is found first
    python -m tests.faults.soak --minutes 30 --plot docs/soak.svg --json soak.json
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from msgspec import Struct

from tests.faults.case import Report
from tests.faults.plot import Chart, Line, svg
from tests.faults.scene import scene
from tests.faults.steady import Arrivals, Sample, Steady, sample
from tests.running import eventually

MB: Final = 1_000_000
KEEP: Final = 1_000  #: requests that the receiver remembers
SAMPLES: Final = 180
CREEP: Final = 1.25  #: times what it was early on, at most, late
STEP: Final = 16 * MB  #: bytes that it may be more in any case: a page cache, a write-ahead log
PATIENCE: Final = 300.0


class Soaked(Struct, frozen=True):
    """
    most  events a second that go all the way, as found at the beginning
    pace  half of it
    load  of the machine: the load average before, in the middle, after
    """

    report: Report
    samples: list[Sample]
    most: float
    pace: float
    load: tuple[float, float, float]


def soak(folder: Path, seed: int, *, seconds: float, probe: float, tell: Callable[[str], None]) -> Soaked:
    """probe  seconds for which the rate is looked for"""
    report = Report(fault=f"half of the maximum rate for {seconds / 60:.3g} minutes")
    arrivals, samples = Arrivals(), list[Sample]()
    before = os.getloadavg()[0]
    with scene(folder, keep=KEEP) as on:
        on.totango.follow(arrivals)
        steady = Steady(on.milonga, seed, arrivals)
        most = maximum(steady, arrivals, probe)
        pace = most / 2
        tell(f"{most:,.0f} events a second go all the way; {pace:,.0f} from now on")
        arrivals.waits()
        begun, middle = time.monotonic(), before
        spell = steady.send(pace)
        try:
            while time.monotonic() < begun + seconds and spell.busy:
                time.sleep(max(seconds / SAMPLES, 0.5))
                samples.append(sample(on.milonga, steady, arrivals, begun))
                if len(samples) % 10 == 0:
                    tell(told(samples[-1]))
                if time.monotonic() < begun + seconds / 2:
                    middle = os.getloadavg()[0]
        finally:
            spell.end()
        eventually(lambda: arrivals.arrived >= steady.concern, "all that was acknowledged has arrived", PATIENCE)
        report.events = steady.acked
        report.lost = [f"event {number} never arrived" for number in arrivals.missing()]
        report.reordered = list(arrivals.reordered)
        report.duplicates = arrivals.twice
        if arrivals.twice:
            report.wrong.append(f"{arrivals.twice} requests came twice, and nothing was broken")
        if (status := on.milonga.stop()) != 0:
            report.wrong.append(f"it stopped with {status}")
    return Soaked(report, samples, most, pace, (before, middle, os.getloadavg()[0]))


def maximum(steady: Steady, arrivals: Arrivals, seconds: float) -> float:
    """Events a second that go all the way, from the first one sent to the last one received."""
    begun = time.monotonic()
    spell = steady.send(None)
    time.sleep(seconds)
    spell.end()
    eventually(lambda: arrivals.arrived >= steady.concern, "all of the first rush has arrived", PATIENCE)
    return steady.acked / (time.monotonic() - begun)


def told(one: Sample) -> str:
    p99 = "-" if one.p99 is None else f"{one.p99 * 1000:.0f} ms"
    return (
        f"{one.at / 60:.1f} min: {one.sent:,} sent, {one.waiting:,} wait, p99 {p99}, memory "
        f"{(one.collector + one.delivery) / MB:.0f} MB, delivery.db {one.store / MB:.1f} MB"
    )


def creeping(samples: Sequence[Sample]) -> list[str]:
    """What is more in the last fifth than in the second one, beyond what may be."""
    fifth = len(samples) // 5
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    if not early or not late:
        return []
    found = []
    for name in ("collector", "delivery", "store"):
        before, after = (median(getattr(one, name) for one in some) for some in (early, late))
        if after > CREEP * before + STEP:
            found.append(f"{name}: {before / MB:.0f} MB early, {after / MB:.0f} MB late")
    for name in ("log", "outcomes"):
        before, after = (
            (getattr(some[-1], name) - getattr(some[0], name)) / max(1, some[-1].sent - some[0].sent)
            for some in (early, late)
        )
        if after > CREEP * before + 100:
            found.append(f"{name}: {before:.0f} bytes an event early, {after:.0f} late")
    before, after = (median(one.p99 or 0.0 for one in some) for some in (early, late))
    if after > 2 * before + 0.1:
        found.append(f"p99: {before * 1000:.0f} ms early, {after * 1000:.0f} ms late")
    return found


def notes(soaked: Soaked) -> list[str]:
    samples = soaked.samples
    fifth = max(1, len(samples) // 5)
    words = [
        f"{soaked.most:,.0f} events a second went all the way at first; {soaked.pace:,.0f} were sent since",
        "load average "
        + ", ".join(f"{one:.1f}" for one in soaked.load)
        + f" before, in the middle, after, on {os.cpu_count()} cores",
    ]
    for name, some in (("second fifth", samples[fifth : 2 * fifth]), ("last fifth", samples[-fifth:])):
        if some:
            words.append(
                f"{name}: memory {_of(some, 'collector'):.0f} + {_of(some, 'delivery'):.0f} MB, delivery.db "
                f"{_of(some, 'store'):.1f} MB, p50 {median(one.p50 or 0 for one in some) * 1000:.0f} ms, p99 "
                f"{median(one.p99 or 0 for one in some) * 1000:.0f} ms"
            )
    return words


def _of(samples: Sequence[Sample], name: str) -> float:
    return float(median(getattr(one, name) for one in samples)) / MB


def charts(samples: Sequence[Sample]) -> list[Chart]:
    def line(name: str, value: Callable[[Sample], float | None]) -> Line:
        values = [(one.at / 60, value(one)) for one in samples]
        return Line(name, [(at, y) for at, y in values if y is not None])

    pairs = list(pairwise(samples))
    rates = [(b.at / 60, (b.arrived - a.arrived) / (b.at - a.at)) for a, b in pairs]
    sent = [(b.at / 60, (b.sent - a.sent) / (b.at - a.at)) for a, b in pairs]
    return [
        Chart("Memory (PSS)", "MB", [
            line("collector", lambda one: one.collector / MB), line("delivery", lambda one: one.delivery / MB)]),
        Chart("From sending to arrival", "ms", [
            line("p50", lambda one: one.p50 and one.p50 * 1000), line("p99", lambda one: one.p99 and one.p99 * 1000)]),
        Chart("Events a second", "1/s", [Line("sent", sent), Line("arrived", rates)]),
        Chart("delivery.db", "MB", [line("with its write-ahead log", lambda one: one.store / MB)]),
        Chart("What is kept: bytes for each event", "bytes", [
            line("log", lambda one: one.log / one.sent), line("outcomes", lambda one: one.outcomes / one.sent)]),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="A long steady load.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), metavar="N")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it there, as SVG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="milonga-soak-") as folder:
        soaked = soak(
            Path(folder),
            chosen.seed,
            seconds=chosen.minutes * 60,
            probe=20.0,
            tell=lambda words: print(words, flush=True),
        )
    wrong = [*soaked.report.lost[:5], *soaked.report.reordered[:5], *soaked.report.wrong, *creeping(soaked.samples)]
    if chosen.plot is not None:
        says = f"Memory, latency, rates and file sizes over {chosen.minutes:g} minutes"
        chosen.plot.write_text(svg(charts(soaked.samples), says), encoding="utf-8")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(msgspec.to_builtins(soaked), indent=1) + "\n", encoding="utf-8")
    print("\n".join((*notes(soaked), *(f"WRONG: {words}" for words in wrong))))
    print(f"{soaked.report.events:,} events, {soaked.report.duplicates} duplicates: {'BAD.' if wrong else 'flat.'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
