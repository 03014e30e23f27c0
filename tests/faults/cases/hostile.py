"""Case 6: hostile senders beside honest ones, and events that a receiver chokes on."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final

from milonga.destinations.behavior import USUAL, Behaviors, Told
from milonga.destinations.totango.fake import pretend
from milonga.workspace.store import Workspace
from tests.faults.case import Case, Report, Run
from tests.faults.looking import dead_numbers, number_of_destination, set_up
from tests.faults.mix import Made, number_of
from tests.faults.scene import Scene, scene
from tests.faults.verdict import numbers_in, outcomes_in
from tests.faults.waits import share, waits
from tests.fuzz.aftermath import signs_of_trouble
from tests.fuzz.run import SOURCES, fuzz
from tests.receiving import Receiving
from tests.running import eventually

ONE_IN: Final = 1_000  #: events, that is poison
PARKED_AFTER: Final = 30.0  #: seconds: docs/how-it-works.md, "Parking"
PATIENCE: Final = 120.0


def run(run: Run) -> Iterator[Report]:
    yield corpus(run)
    yield poison(run)


def corpus(run: Run) -> Report:
    """What tests/fuzz sends to a collector, beside a load that is being delivered, and on its way to a receiver too."""
    report = Report(fault="hostile requests beside the load")
    with scene(run.folder / "corpus", "--trusted-proxy", "127.0.0.1", start=False) as on, Receiving(pretend) as other:
        with closing(Workspace.open(on.milonga.data)) as workspace:
            for name, (key, settings) in SOURCES.items():
                workspace.sources.add(name, key)
                workspace.sources.set_settings(name, settings)
        on.milonga.say(
            *("destinations", "add", "totango", "--name", "other", "--source", "open"),
            *("--set", "serviceId=SP-1", "--set", f"endpoint={other.url}/pixel.gif/"),
        )
        on.milonga.start()
        load = on.load(run.seed, pace=100)
        on.flows(load, 0.0)
        found = fuzz(on.milonga, run.seed, 600 if run.short else 15_000)
        load.stop()
        on.judge(report, load)
        report.times = found.requests
        report.wrong += [f"conversation {number}: {words}" for number, words in found.wrong]
        report.wrong += signs_of_trouble(on.milonga)
        number = number_of_destination(on.milonga.data, "other")
        eventually(lambda: waiting(on, "other") == 0, "all of the hostile events that were kept have ended", PATIENCE)
        ends: dict[str, int] = defaultdict(int)
        for state, _ in outcomes_in(on.milonga.data, number).values():
            ends[state] += 1
        report.notes.append(f"of the hostile requests' events {dict(ends)}")
    return report


def waiting(on: Scene, name: str) -> int:
    """Events without an end; -1 before delivery has said so first."""
    said = on.milonga.ask("destinations", "show", name)["waiting"]
    return -1 if said is None else int(said)


class Poison(Behaviors):
    """Of every thousandth event: refused for good, answered 500 for ever, or never answered."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first

    def kind(self, number: int | None) -> str:
        if number is None or number < self._first or number % ONE_IN:
            return ""
        return ("refused", "fails", "hangs")[number // ONE_IN % 3]

    def decide(self, params: Mapping[str, Any]) -> Told:
        match self.kind(number_of(params)):
            case "refused":
                return Told(400)
            case "fails":
                return Told(500)
            case "hangs":
                return Told(delay=600.0)
        return USUAL


def poison(run: Run) -> Report:
    """
    Whoever stands in one line with an event that fails or hangs waits for it, for so order demands (a group call stands
    in the lines of its account and of its user), as long as the destination's retry window says; other accounts must
    not notice. What is refused for good holds up nobody at all.
    """
    clean, events, window = (400, 3_000, 3) if run.short else (4_000, 15_000, 30)
    report = Report(fault="one poison event in a thousand", times=events // ONE_IN)
    with scene(run.folder / "poison", start=False) as on:
        set_up(on.milonga.data, retryWindow=window, timeout=1)
        on.milonga.start()
        bad = Poison(first=clean)
        on.totango.follow(bad)
        load = on.load(run.seed, pace=None if run.short else 300, most=clean + events).finish()
        spoiled = {made.keys[0][0] for n, made in load.made.items() if bad.kind(n) in ("fails", "hangs") and made.keys}
        beside = {n for n, made in load.made.items() if made.keys and not made.skip and made.keys[0][0] not in spoiled}
        since = time.monotonic()
        on.judge(report, load, forgiven=["http_400", "tried_too_long"])
        report.recovery.append(time.monotonic() - since)
        if wrong := dead_numbers(on.milonga.data) ^ refused(bad, load.made):
            report.wrong.append(f"dead letters, or not, against what was refused: {sorted(wrong)[:5]}")
        compare(report, on, load.made, beside, clean, window, strict=not run.short)
        accounts = {made.keys[0][0] for made in load.made.values() if made.keys}
        report.notes.append(f"{len(spoiled)} of {len(accounts):,} accounts had an event that fails or hangs")
    return report


def refused(bad: Poison, made: Mapping[int, Made]) -> set[int]:
    return {number for number, one in made.items() if bad.kind(number) == "refused" and not one.skip}


def compare(
    report: Report, on: Scene, made: Mapping[int, Made], beside: set[int], clean: int, window: int, *, strict: bool
) -> None:
    """Waits of accounts without poison, before there was any and since; and of those that have it."""
    offsets = {offsets[0]: number for number, offsets in numbers_in(on.milonga.data).items()}
    before, since, behind = list[float](), list[float](), list[float]()
    for one in waits(on.milonga.data, number_of_destination(on.milonga.data, "totango")):
        number = offsets.get(one.offset)
        if number is not None and number in made:
            (behind if number not in beside else before if number < clean else since).append(one.seconds)
    report.notes.append(
        f"accounts without poison, p50, p99 and longest wait: before {_three(before)}; beside poison {_three(since)}"
    )
    report.notes.append(f"events behind poison: longest wait {max(behind):.1f} s; the retry window is {window} s")
    if strict and max(since) > PARKED_AFTER:
        report.wrong.append(f"an event of an account without poison waited {max(since):.1f} s")
    if strict and max(behind) > 3 * window + PARKED_AFTER:
        report.wrong.append(f"an event behind poison waited {max(behind):.1f} s")


def _three(seconds: list[float]) -> str:
    return f"{share(seconds, 0.5) * 1000:.0f} ms, {share(seconds, 0.99) * 1000:.0f} ms, {max(seconds):.1f} s"


CASE = Case(
    number=6,
    name="hostile",
    says="the fuzz corpus of the collector replayed during delivery; one event in a thousand that the receiver refuses,"
    " fails or hangs on",
    bound=120,
    short=18,
    run=run,
)
