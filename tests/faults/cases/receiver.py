"""Case 4: what receivers, and networks before them, do."""

import datetime
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from milonga.destinations.pretend import Seen
from milonga.workspace.model import DestinationState
from tests.faults.case import Case, Report, Run
from tests.faults.cases.isolation import for_minutes
from tests.faults.certificates import Authority
from tests.faults.gate import Gate, Mode
from tests.faults.inside import environment
from tests.faults.looking import dead_letters, dead_numbers, set_up, state
from tests.faults.mix import number_of
from tests.faults.perhaps import announced
from tests.faults.runner import dice_of
from tests.faults.scene import Scene, scene
from tests.faults.script import Script
from tests.running import Crowd, eventually

LONG: Final = 120.0  #: seconds that a receiver is down
HANGS: Final = 150.0  #: seconds that another destination hangs
APART: Final = 1_000_000  #: between the first numbers of two loads
DAY: Final = datetime.timedelta(days=1)

HOLD: Final[dict[Mode, tuple[str, float]]] = {
    Mode.hanging: ("hangs: takes requests, never answers", 35.0),
    Mode.mute: ("takes events in, and its answers are lost", 32.0),
    Mode.slow: ("answers slowly, 16 bytes in 0.1 s", 8.0),
    Mode.half_closed: ("closes its half of the connection after the request", 6.0),
    Mode.reset_before: ("resets the connection before the request", 6.0),
    Mode.reset_after: ("resets the connection after the request", 6.0),
    Mode.garbage: ("answers with garbage that is no HTTP", 6.0),
    Mode.garbage_200: ("answers 200 with a body of garbage that breaks off", 6.0),
}
"""And seconds for which it does so."""

SHORT: Final = (Mode.hanging, Mode.mute, Mode.half_closed, Mode.garbage_200)


def run(run: Run) -> Iterator[Report]:
    long: list[Report] = []
    jobs = [lambda: long.append(is_down(run, LONG)), lambda: long.append(for_minutes(run, HANGS))]
    beside = Crowd([] if run.short else jobs)
    with scene(run.folder / "gate", start=False) as on, Gate(on.totango.url, dice_of(run, "gate")) as gate:
        send_to(on, gate.url(), **({"timeout": 1} if run.short else {}))
        on.milonga.start()
        first = count(0, APART)
        if run.short:
            yield behind(run, on, gate, next(first), Mode.down, "is down", 2.0)
        for mode, (says, seconds) in HOLD.items():
            if run.short and mode not in SHORT:
                continue
            yield behind(run, on, gate, next(first), mode, says, 1.2 if run.short else seconds)
        for wait in (1,) if run.short else (None, 1):
            yield too_many(run, on, next(first), wait, 1.5 if run.short else 6.0)
        yield one_refused(run, on, next(first))
        yield redirects(run, on, next(first))
        yield prescribed(run, on, next(first), 150 if run.short else 2_000)
    yield from bad_certificates(run)
    beside.join()
    yield from long


def send_to(on: Scene, url: str, **settings: object) -> None:
    set_up(on.milonga.data, endpoint=f"{url}/pixel.gif/", **settings)


def is_down(run: Run, seconds: float) -> Report:
    with scene(run.folder / "down", start=False) as on, Gate(on.totango.url, dice_of(run, "down")) as gate:
        send_to(on, gate.url())
        on.milonga.start()
        return behind(run, on, gate, 0, Mode.down, f"is down for {seconds:.0f} s", seconds)


def behind(run: Run, on: Scene, gate: Gate, first: int, mode: Mode, says: str, seconds: float) -> Report:
    """All is well, then this for so long, then all is well again."""

    def hold() -> None:
        gate.become(mode)
        time.sleep(seconds)
        gate.become(Mode.open)

    return during(run, on, first, Report(fault=says), hold)


def during(run: Run, on: Scene, first: int, report: Report, hold: Callable[[], None], **options: Any) -> Report:
    """A load of its own, which begins before the fault and ends after it."""
    on.totango.clear()
    load = on.load(run.seed, pace=100, first=first)
    on.flows(load, 0.0)
    before = announced(on.milonga.data)
    hold()
    report.recovery.append(on.flows(load, time.monotonic(), 300.0))
    load.stop()
    on.judge(report, load, **options)
    told = announced(on.milonga.data) - before
    if report.duplicates > told:
        report.wrong.append(f"{report.duplicates} duplicates, and {told} were told as perhaps delivered")
    return report


def too_many(run: Run, on: Scene, first: int, wait: int | None, seconds: float) -> Report:
    """429 to everybody, with and without word of when to come again."""
    headers = {} if wait is None else {"Retry-After": wait}

    def hold() -> None:
        on.totango.behave(status=429, headers=headers)
        time.sleep(seconds)
        on.totango.behave_well()

    report = Report(fault=f"answers 429 to all, {'without' if wait is None else 'with'} Retry-After")
    during(run, on, first, report, hold)
    if wait is not None:
        early = sum(pause < wait for pause in pauses(on.totango.requests(), 429))
        if early:
            report.wrong.append(f"{early} events came again before Retry-After was over")
    return report


def pauses(requests: list[Seen], status: int) -> Iterator[float]:
    """Seconds between an answer of this status and the next request of the same event."""
    last: dict[int, Seen] = {}
    for seen in sorted(requests, key=lambda one: one.started):
        if (number := number_of(seen.params)) is None:
            continue
        before = last.get(number)
        if before is not None and before.status == status and before.ended is not None:
            yield seen.started - before.ended
        last[number] = seen


def one_refused(run: Run, on: Scene, first: int) -> Report:
    """A firewall that dislikes the text of one event: that one is a dead letter, and nobody else's trouble."""
    report = Report(fault="a firewall's 403 for one event")
    refused = first + random.Random(run.seed).randrange(100)
    on.totango.behave(status=403, match={"sdr_a": f"e-{refused}"})
    on.totango.behave(status=403, match={"sdr_a": f"Viewed p-{refused} Page"})
    on.totango.behave(status=403, match={"sdr_o.seq": str(refused)})
    on.totango.behave(status=403, match={"sdr_u.seq": str(refused)})
    during(run, on, first, report, lambda: time.sleep(1.0), forgiven=["http_403"])
    on.totango.behave_well()
    letters = dead_numbers(on.milonga.data)
    if letters - {refused}:
        report.wrong.append(f"dead letters: {sorted(letters)[:5]}")
    if not letters and any(number_of(seen.params) == refused for seen in on.totango.requests()):
        report.wrong.append(f"event {refused} was refused, and is no dead letter")
    if state(on.milonga.data) is not DestinationState.on:
        report.wrong.append("the destination was paused")
    forget(on)
    return report


def redirects(run: Run, on: Scene, first: int) -> Report:
    """A redirect is never followed: dead letters, and when there are too many of them the destination waits."""
    report = Report(fault="redirects all to another host")

    def hold() -> None:
        on.totango.behave(status=302, headers={"Location": "http://127.0.0.1:9/"})
        eventually(lambda: state(on.milonga.data) is DestinationState.paused, "paused after many dead letters")
        on.totango.behave_well()
        on.milonga.say("destinations", "resume", "totango")

    during(run, on, first, report, hold, forgiven=["http_302"])
    dead = len(dead_letters(on.milonga.data))
    report.notes.append(f"paused after {dead} dead letters; all others waited and were delivered")
    if dead > 200:
        report.wrong.append(f"{dead} dead letters before the destination was paused")
    forget(on)
    return report


def forget(on: Scene) -> None:
    """Dead letters, for the next row."""
    on.milonga.say("dead", "discard", "--all", "--yes")
    eventually(lambda: not dead_letters(on.milonga.data), "dead letters discarded")


def prescribed(run: Run, on: Scene, first: int, events: int) -> Report:
    """A table says what each event is answered, try by try; then each must have been sent exactly as often."""
    report = Report(fault="prescribed answers for each event")
    script = Script(run.seed)
    on.totango.clear()
    on.totango.follow(script)
    begun = time.monotonic()
    load = on.load(run.seed, most=events, first=first).finish()
    dead = ("http_400", "http_422", "http_301")
    on.judge(report, load, forgiven=dead)
    report.notes.append(f"all of it took {time.monotonic() - begun:.0f} s")
    sent: dict[int, int] = defaultdict(int)
    for seen in on.totango.requests():
        if (number := number_of(seen.params)) is not None:
            sent[number] += 1
    wanted = {number: len(script.of(number)) for number, made in load.made.items() if not made.skip}
    report.wrong += [
        f"event {number} was sent {sent[number]} times, not {times}"
        for number, times in wanted.items()
        if sent[number] != times
    ]
    expected = sum(script.duplicates(number) for number in wanted)
    if report.duplicates != expected:
        report.wrong.append(f"{report.duplicates} duplicates, where answers were lost {expected} times")
    refused = {number for number in wanted if not script.is_taken(number)}
    letters = dead_numbers(on.milonga.data)
    if letters != refused:
        report.wrong.append(f"{len(letters ^ refused)} events are dead letters, or not, against the script")
    return report


@contextmanager
def trusting(
    run: Run, folder: Path, gate_of: Callable[[Scene, Authority], Gate]
) -> Iterator[tuple[Scene, Gate, Authority]]:
    authority = Authority(folder / "authority")
    with (
        scene(folder, environment=environment(ca=authority.path), start=False) as on,
        gate_of(on, authority) as gate,
    ):
        send_to(on, gate.url("localhost"))
        on.milonga.start()
        yield on, gate, authority


def bad_certificates(run: Run) -> Iterator[Report]:
    """A real TLS listener, whose certificate is good, then bad, then good again. Nothing is sent to a bad one."""

    def gate_of(on: Scene, authority: Authority) -> Gate:
        return Gate(on.totango.url, dice_of(run, "tls"), authority.context())

    with trusting(run, run.folder / "tls", gate_of) as (on, gate, authority):
        stranger = Authority(run.folder / "stranger", "Nobody knows it")
        bad = {
            "an expired certificate": authority.context(valid_for=-DAY),
            "a certificate for another host": authority.context("elsewhere.example"),
            "a certificate of an unknown authority": stranger.context(),
        }
        for first, (says, context) in zip(count(0, APART), bad.items(), strict=False):
            report = Report(fault=f"shows {says}")

            def hold(context: Any = context, report: Report = report) -> None:
                gate.show(context)
                eventually(lambda: gate.handshakes > 0, "a handshake")
                received, shown = on.totango.received(), gate.handshakes
                eventually(lambda: gate.handshakes >= shown + 3, "tries")
                if on.totango.received() != received:
                    report.wrong.append(f"{on.totango.received() - received} requests were sent all the same")
                gate.show(authority.context())

            yield during(run, on, first, report, hold)


CASE = Case(
    number=4,
    name="receiver",
    says="a receiver that is down, hangs, is slow, closes, resets, shows a bad certificate, answers garbage, 3xx, 429,"
    " 403, or whatever a table prescribes",
    bound=300,
    short=28,
    run=run,
)
