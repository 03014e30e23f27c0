"""Translating one event, in this process: no I/O, so no limit but Python's own pace."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import milonga.destinations
from bench.measure import own_cpu
from bench.report import Found, row
from bench.run import Run
from bench.samples import mix, stamped
from milonga.delivery.encode import outgoing
from milonga.destinations import registry
from milonga.destinations.contract import Request, Skip
from milonga.destinations.deciding import decide
from milonga.filters.gate import gate_of
from milonga.filters.rule import Filter
from milonga.identity.account import read_unstamped
from milonga.spec.event import Event
from milonga.spec.read import read_stamped

SECONDS = 0.3  #: of one round of one thing
TARGET = 20  #: microseconds

NO_TESTS = Filter(name="no-tests", do="drop", when='event.startsWith("Test")')
NO_TRIALS = Filter(name="no-trials", do="drop", when='type == "track" && properties.plan == "trial"')
MASKED = Filter(name="mail", do="mask", fields=("properties.category", "context.ip"))

T = TypeVar("T")


def translate(run: Run) -> Found:
    """Totango's, over the destination's own cases and over a typical mix."""
    kind = registry.kind("totango")
    settings = msgspec.convert({"serviceId": "SP-12345-01"}, kind.settings)
    kept = stamped(mix(1_000), 1, 1_000)
    typical = [(read_stamped(one), settings) for one in kept]
    cases = _cases("totango")
    bodies = [one.body for one in kept]
    translated = [kind.translate(event, with_) for event, with_ in typical]
    requests = [request for result in translated if not isinstance(result, Skip) for request in result]

    def both(pair: tuple[Event, Any]) -> object:
        return kind.translate(*pair)

    def through(*filters: Filter) -> list[float]:
        gate = gate_of(filters, ())
        return [_each(lambda pair: decide(kind, *pair, gate), typical) for _ in range(run.rounds)]

    def encoded(request: Request) -> object:
        return outgoing(request, timeout=30.0, now=0.0)

    rounds = range(run.rounds)
    mixed = [_each(both, typical) for _ in rounds]
    reading = [_each(msgspec.json.decode, bodies) for _ in rounds]
    rows = [
        row("translate, typical mix", mixed, "us/event", at_most=TARGET),
        row("translate, all cases", [_each(both, cases) for _ in rounds], "us/event", at_most=TARGET),
        row("through no filter", through(), "us/event", limit=mixed, limit_is="translate alone"),
        row("through a filter by event name", through(NO_TESTS), "us/event", limit=mixed, limit_is="translate alone"),
        row("through a filter by a property", through(NO_TRIALS), "us/event", limit=mixed, limit_is="translate alone"),
        row("through a filter that masks", through(MASKED), "us/event", limit=mixed, limit_is="translate alone"),
        row("keys", [_each(lambda pair: kind.keys(*pair), typical) for _ in rounds], "us/event"),
        row("read a stored event", [_each(read_stamped, kept) for _ in rounds], "us/event", limit=reading,
            limit_is="msgspec.json.decode of the same bytes"),
        row("encode a request", [_each(encoded, requests) for _ in rounds], "us/request"),
    ]  # fmt: skip
    slowest = sorted(((_least(both, case), case[0]) for case in cases), key=lambda pair: -pair[0])[:3]
    notes = [
        f"{len(cases)} cases; the dearest: "
        + ", ".join(
            f"{took:.0f} us ({event.type}, {len(str(event.received)):,} characters)" for took, event in slowest
        ),
        "CPU time of one process on one core; caches inside translate are warm, as in a running server.",
    ]
    return Found(rows, notes)


def _cases(kind: str) -> list[tuple[Event, Any]]:
    """Event and settings of each of the destination's cases."""
    folder = Path(milonga.destinations.__path__[0]) / kind / "cases"
    of = registry.kind(kind).settings
    return [
        (read_unstamped(json.dumps(case["event"]).encode()), msgspec.convert(case["settings"], of))
        for file in sorted(folder.glob("*.json"))
        for case in json.loads(file.read_text(encoding="utf-8"))
    ]


def _each(work: Callable[[T], object], things: list[T], seconds: float = SECONDS) -> float:
    """Microseconds of CPU for one."""
    count, end, cpu = 0, time.perf_counter() + seconds, own_cpu()
    while not count or time.perf_counter() < end:
        for thing in things:
            work(thing)
        count += len(things)
    return (own_cpu() - cpu) / count * 1e6


def _least(work: Callable[[T], object], thing: T) -> float:
    """The same of one thing, the least of five short rounds."""
    return min(_each(work, [thing], seconds=0.001) for _ in range(5))
