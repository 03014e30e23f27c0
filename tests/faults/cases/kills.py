"""Case 1: SIGKILL."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Final

from milonga.workspace.delivery_settings import DeliverySettings
from tests.faults.at_steps import while_dropping, while_migrating, while_writing
from tests.faults.case import Case, Report, Run
from tests.faults.runner import dice_of, side_by_side
from tests.faults.scene import Scene, scene
from tests.running import eventually

KILLS: Final = {"delivery": 72, "collector": 36, "both": 72, "console": 20}
SHORT: Final = {"delivery": 3, "collector": 2, "both": 2, "console": 1}


def run(run: Run) -> Iterator[Report]:
    """Most of it is waiting for a process to start: several go on side by side."""
    kills = SHORT if run.short else {kind: times // 2 for kind, times in KILLS.items()}
    random = [partial(random_moments, run, f"random {n}", kills) for n in range(1 if run.short else 2)]
    steps = [while_writing, while_migrating] if run.short else [while_writing, while_migrating, while_dropping]
    yield from side_by_side(*random, *(partial(part, run) for part in steps))


def random_moments(run: Run, name: str, kills: dict[str, int]) -> Iterator[Report]:
    """One long load, and kills at moments that the dice choose."""
    times = sum(kills.values())
    report = Report(fault="SIGKILL at random moments", times=times)
    dice = dice_of(run, name)
    recovery: dict[str, list[float]] = defaultdict(list)
    with scene(run.folder / name, console=True) as on:
        on.totango.behave(delay_ms=5)
        load = on.load(dice.randrange(2**32), pace=400)
        for kind in dice.sample(list(kills), times, counts=list(kills.values())):
            time.sleep(dice.uniform(0.0, 0.4))  # a random moment of a running load, not a hope
            since = time.monotonic()
            KILL[kind](on)
            recovery[kind].append(on.flows(load, since))
        load.stop()
        on.judge(report, load)
        if report.duplicates > (most := times * DeliverySettings().concurrency):
            report.wrong.append(f"{report.duplicates} duplicates, and {most} requests were in flight at most")
        if (status := on.milonga.stop()) != 0:
            report.wrong.append(f"afterwards it stopped with {status}")
    report.recovery = [seconds for found in recovery.values() for seconds in found]
    report.notes.append(
        "; ".join(f"{len(s)} of {kind}: {median(s):.1f} / {max(s):.1f} s" for kind, s in recovery.items())
    )
    yield report


def kill_delivery(on: Scene) -> None:
    """Its parent starts it again."""
    eventually(on.milonga.kill_delivery, "a delivery process to kill")


def kill_console(on: Scene) -> None:
    """Its parent starts it again; nobody else should notice."""
    eventually(on.milonga.kill_console, "a process of the console to kill")


def kill_collector(on: Scene) -> None:
    """Its children hand back and go."""
    on.milonga.kill_collector()
    on.milonga.start()


def kill_both(on: Scene) -> None:
    """In the same moment: the child first, so that the parent has no time to start another."""
    on.milonga.kill_delivery()
    on.milonga.kill_collector()
    on.milonga.start()


KILL: Final[dict[str, Callable[[Scene], None]]] = {
    "delivery": kill_delivery,
    "collector": kill_collector,
    "both": kill_both,
    "console": kill_console,
}

CASE = Case(
    number=1,
    name="kills",
    says="SIGKILL of collector, delivery, both, and the console, at random moments and at each named step of the write"
    " path",
    bound=250,
    short=35,
    run=run,
)
