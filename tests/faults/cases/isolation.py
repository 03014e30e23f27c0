"""Case 7: one destination hangs; nobody else notices."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.client import HTTPConnection
from statistics import mean
from typing import Final

from msgspec import Struct, field

from milonga.destinations.webhook.fake import pretend
from tests.faults.case import Case, Report, Run
from tests.faults.looking import number_of_destination
from tests.faults.scene import Scene, scene
from tests.faults.waits import share, waits
from tests.receiving import Receiving
from tests.running import eventually, in_threads, track

BULK: Final = "k-bulk"  #: of a source that no destination takes from: the collector's rate alone
PHASES: Final = ("before", "during", "after")
LATER: Final = 2.0  #: times the p99 of the quiet phases, beyond which the full suite complains
SLACK: Final = 0.05  #: and seconds
BESIDE: Final = 1.0  #: as much where other cases are run at the same time; a request that hangs is given up after 30
SLOWER: Final = 0.6  #: of the rate of the quiet phases: so much of it must be left


class Phase(Struct):
    """
    spans  (from, to) in unix seconds, in which single events were sent
    rates  events a second that the collector took in, each time
    """

    spans: list[tuple[float, float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def run(run: Run) -> Iterator[Report]:
    seconds, rounds = (2.0, 1) if run.short else (8.0, 3)
    report = Report(fault=f"a webhook that hangs, {rounds} times for {2 * seconds:.0f} s", times=rounds)
    phases: dict[str, Phase] = defaultdict(Phase)
    with Receiving(pretend) as webhook, scene(run.folder / "scene") as on:
        on.milonga.say("sources", "add", "bulk", "--write-key", BULK)
        on.milonga.say("destinations", "add", "webhook", "--source", "web", "--set", f"url={webhook.url}/hook")
        load = on.load(run.seed, pace=150, batch=5)
        on.flows(load, 0.0)
        for _ in range(rounds):
            measure(on, phases["before"], seconds)
            webhook.behave(delay_ms=600_000)
            time.sleep(1.0)
            measure(on, phases["during"], seconds)
            webhook.behave_well()
            time.sleep(1.0)
            measure(on, phases["after"], seconds)
        load.stop()
        on.judge(report, load)
        number = number_of_destination(on.milonga.data, "totango")
        told(report, phases, on, number, strict=not run.short)
    yield report


def for_minutes(run: Run, seconds: float) -> Report:
    """One hang as long as this, beside whatever else the machine does: then only a wait for the hang itself counts."""
    quiet = min(10.0, seconds / 2)
    report = Report(fault=f"a webhook hangs for {seconds:.0f} s beside Totango")
    with Receiving(pretend) as webhook, scene(run.folder / "minutes") as on:
        on.milonga.say("destinations", "add", "webhook", "--source", "web", "--set", f"url={webhook.url}/hook")
        load = on.load(run.seed, pace=60, batch=5)
        on.flows(load, 0.0)
        spans = [(time.time(), time.time() + quiet)]
        time.sleep(quiet)
        webhook.behave(delay_ms=600_000)
        spans.append((time.time(), time.time() + seconds))
        time.sleep(seconds)
        webhook.behave_well()
        over = time.monotonic()
        load.stop()
        on.judge(report, load)
        data = on.milonga.data
        number = number_of_destination(data, "webhook")
        eventually(lambda: sum(1 for _ in waits(data, number)) >= len(load.acked), "the webhook has got it all", 300.0)
        report.recovery.append(time.monotonic() - over)
        found = list(waits(data, number_of_destination(data, "totango")))
    before, during = ([one.seconds for one in found if a <= one.received_at < b] for a, b in spans)
    p99, usual = share(during, 0.99), share(before, 0.99)
    report.notes.append(
        f"Totango's p99 beside it {p99 * 1000:.0f} ms, before it {usual * 1000:.0f} ms, the longest wait "
        f"{max(during):.1f} s, while other rows of this case were run"
    )
    if p99 > LATER * usual + BESIDE:
        report.wrong.append(f"p99 {p99:.3f} s beside a webhook that hangs, {usual:.3f} s before")
    return report


def measure(on: Scene, phase: Phase, seconds: float) -> None:
    """Latency under a moderate load; then what the collector takes in beside it, as fast as it answers."""
    begun = time.time()
    time.sleep(seconds)
    phase.spans.append((begun, time.time()))
    phase.rates.append(rate(on.milonga.port, seconds / 2))


def rate(port: int, seconds: float, senders: int = 4) -> float:
    """Events a second that are answered with 200, of clients that each wait for their answers."""
    body = json.dumps({"writeKey": BULK, "batch": [track(n, f"u{n}", "bulk") for n in range(50)]})
    body = body.replace('"messageId"', '"x"')  # none is a duplicate
    taken, lock = 0, threading.Lock()
    deadline = time.monotonic() + seconds

    def send() -> None:
        nonlocal taken
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < deadline:
            connection.request("POST", "/v1/batch", body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            with lock:
                taken += 50
        connection.close()

    begun = time.monotonic()
    in_threads([send] * senders).join()
    return taken / (time.monotonic() - begun)


def told(report: Report, phases: dict[str, Phase], on: Scene, number: int, *, strict: bool) -> None:
    found = list(waits(on.milonga.data, number))
    p50, p99, rates = dict[str, float](), dict[str, float](), dict[str, float]()
    for name in PHASES:
        spans = phases[name].spans
        seconds = [one.seconds for one in found if any(a <= one.received_at < b for a, b in spans)]
        if not seconds:
            report.wrong.append(f"nothing was delivered {name}")
            return
        p50[name], p99[name], rates[name] = share(seconds, 0.5), share(seconds, 0.99), mean(phases[name].rates)
    report.notes += [
        f"Totango, accepted to delivered, {name} it: p50 {p50[name] * 1000:.0f} ms, p99 {p99[name] * 1000:.0f} ms; "
        f"the collector takes {rates[name]:,.0f} events/s in batches of 50"
        for name in PHASES
    ]
    quiet = mean((p99["before"], p99["after"]))
    usual = mean((rates["before"], rates["after"]))
    report.notes.append(f"ratios, during to not: p99 {p99['during'] / quiet:.2f}, rate {rates['during'] / usual:.2f}")
    if strict and p99["during"] > LATER * quiet + SLACK:
        report.wrong.append(f"p99 {p99['during']:.3f} s beside a webhook that hangs, {quiet:.3f} s without")
    if strict and rates["during"] < SLOWER * usual:
        report.wrong.append(f"{rates['during']:,.0f} events/s beside a webhook that hangs, {usual:,.0f} without")


CASE = Case(
    number=7,
    name="isolation",
    says="one destination hangs; the others' p99 and the collector's rate before, during and after it, in one run",
    bound=150,
    short=13,
    run=run,
)
