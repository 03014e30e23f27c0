"""Case 5: the machine's clock is set by hours, and senders whose clock is wrong."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from milonga.eventlog.api import START, Stored
from milonga.eventlog.reader import SqliteLogReader
from tests.faults.case import Case, Report, Run
from tests.faults.inside import WallClock, environment
from tests.faults.mix import Made, mix, number_of
from tests.faults.scene import KEY, Scene, scene
from tests.faults.verdict import judge, taken
from tests.running import Client, batches, eventually

HOUR: Final = 3600.0
JUMPS: Final = (-3 * HOUR, 3 * HOUR, 25 * HOUR, -25 * HOUR)
WAITED: Final = 60.0  #: seconds within which what waited must have gone out: its own waits are a few seconds by then
NOTICED: Final = 2.0  #: seconds after which delivery has looked at the clock
SENDERS: Final = 4
BATCH: Final = 25
REMEMBERED: Final = 24 * HOUR  #: for which a message id is

Jump = Callable[[Scene, WallClock, float], None]


def run(run: Run) -> Iterator[Report]:
    yield jumps(run, "while both processes run", set_under, JUMPS[1:3] if run.short else JUMPS * 2)
    yield jumps(run, "while neither runs", set_between, JUMPS[:1] if run.short else JUMPS)
    yield wrong_senders(run)


def set_under(on: Scene, clock: WallClock, seconds: float) -> None:
    clock.set(clock.ahead + seconds)
    time.sleep(NOTICED)


def set_between(on: Scene, clock: WallClock, seconds: float) -> None:
    on.milonga.kill_delivery()
    on.milonga.kill_collector()
    clock.set(clock.ahead + seconds)
    on.milonga.start()


def jumps(run: Run, says: str, jump: Jump, wanted: Sequence[float]) -> Report:
    """The receiver is down around each jump, so that there is something that waits: it must neither expire nor stay."""
    hours = ", ".join(f"{seconds / HOUR:+.0f}" for seconds in dict.fromkeys(wanted))
    report = Report(fault=f"the clock set by {hours} h {says}")
    report.times = len(wanted)
    folder = run.folder / says.replace(" ", "-")
    folder.mkdir(parents=True)
    clock = WallClock(folder / "clock")
    with scene(folder, environment=environment(clock=clock.path)) as on:
        load = on.load(run.seed, pace=200, senders=SENDERS, batch=BATCH)
        on.flows(load, 0.0)
        farthest = 0.0
        for seconds in wanted:
            on.totango.behave(status=503)
            time.sleep(1.0 if run.short else 3.0)
            waiting = max(number for number in load.acked if not load.made[number].skip)
            jump(on, clock, seconds)
            on.totango.behave_well()
            since = time.monotonic()
            eventually(lambda number=waiting: has_arrived(on, number), "what waited goes out", 120.0)  # type: ignore[misc]
            report.recovery.append(time.monotonic() - since)
            farthest = max(farthest, clock.ahead)
            if farthest < REMEMBERED:  # else it is forgotten, also after the clock was set back
                repeat(run, on)
        load.stop()
        on.judge(report, load)
        if max(report.recovery) > WAITED:
            report.wrong.append(f"what waited went out only {max(report.recovery):.0f} s after the receiver was back")
        told = on.milonga.log_text().count("delivery.clock_set")
        if told < len(wanted):
            report.wrong.append(f"the log tells of {told} jumps of {len(wanted)}")
    return report


def has_arrived(on: Scene, number: int) -> bool:
    return any(number_of(seen.params) == number for seen in taken(on.totango.requests()))


def repeat(run: Run, on: Scene) -> None:
    """An SDK that repeats its first batch: by no clock under which that is less than a day old is it new."""
    with Client(on.milonga.port, KEY) as client:
        client.send([call for _, call in islice(mix(run.seed, 0, SENDERS), BATCH)])


class Sent:
    """As much of a Load as the judge needs."""

    def __init__(self) -> None:
        self.made: dict[int, Made] = {}
        self.acked: set[int] = set()


YEARS: Final[tuple[dict[str, str], ...]] = (
    {"timestamp": "1970-01-01T00:00:10.000Z", "sentAt": "1970-01-01T00:00:12.000Z"},
    {"timestamp": "2099-12-31T23:59:50.000Z", "sentAt": "2099-12-31T23:59:52.000Z"},
    {"timestamp": "1970-01-01T00:00:10.000Z"},
    {"timestamp": "2099-12-31T23:59:50.000Z"},
    {"timestamp": "9999-12-31T23:59:59.999-23:59", "sentAt": "0001-01-01T00:00:00.000Z"},
    {"timestamp": "yesterday", "sentAt": "-1"},
)


def wrong_senders(run: Run) -> Report:
    """Phones that believe it is 1970, or 2099. What they say of sending takes off what they are wrong by."""
    report = Report(fault="senders in the years 1970, 2099, 1 and 9999", times=len(YEARS))
    sent, calls = Sent(), list[dict[str, Any]]()
    for made, call in islice(mix(run.seed), 300 if run.short else 3_000):
        sent.made[made.number] = made
        calls.append(call | YEARS[made.number % len(YEARS)])
    with scene(run.folder / "senders") as on:
        with Client(on.milonga.port, KEY) as client:
            for some in batches(calls, 100):
                client.send(some)
        sent.acked.update(sent.made)
        judge(report, on.milonga.data, sent, {"totango": on.totango})
        report.wrong += asyncio.run(not_corrected(on.milonga.data))
    return report


async def not_corrected(data: Path) -> list[str]:
    """Events whose sender said when it sent them, and that by our clock did not happen just before they came."""
    reader, found, after = SqliteLogReader(data / "log"), list[str](), START
    try:
        while some := await reader.read(0, after, 1_000):
            for one in some:
                assert isinstance(one, Stored)
                stamp = one.event.stamp
                which = int(stamp.message_id[2:]) % len(YEARS)
                if which < 2 and stamp.received_at - (stamp.timestamp or 0) != 2_000:
                    found.append(f"event {stamp.message_id} happened at {stamp.timestamp}, {YEARS[which]}")
            after = some[-1].position.offset
    finally:
        await reader.close()
    return found


CASE = Case(
    number=5,
    name="clock",
    says="the machine's clock set by hours, either way, with both processes running and over a restart; senders in"
    " 1970 and 2099",
    bound=100,
    short=15,
    run=run,
)
