"""Case 1: SIGKILL."""

import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from milonga.delivery.limits import Limits
from tests.faults.case import Case, Report, Run
from tests.faults.runner import dice_of
from tests.faults.scene import Scene, scene
from tests.running import eventually

KILLS: Final = 200  #: in all
SHORT: Final = 9


def run(run: Run) -> Iterator[Report]:
    each = (SHORT if run.short else KILLS) // 3
    yield random_moments(run, "delivery", each, kill_delivery)
    yield random_moments(run, "collector", each, kill_collector)
    yield random_moments(run, "both", each if run.short else KILLS - 2 * each, kill_both)


def random_moments(run: Run, name: str, times: int, kill: Callable[[Scene], None]) -> Report:
    """One long load, and kills at moments that the dice choose."""
    report = Report(fault=f"SIGKILL of {name} at random moments", times=times)
    dice = dice_of(run, name)
    with scene(run.folder / name) as on:
        on.totango.behave(delay_ms=5)
        load = on.load(run.seed, pace=1_000)
        for _ in range(times):
            wait(dice)
            since = time.monotonic()
            kill(on)
            report.recovery.append(on.flows(load, since))
        load.stop()
        on.judge(report, load)
        if report.duplicates > (most := times * Limits().in_flight):
            report.wrong.append(f"{report.duplicates} duplicates, and {most} requests were in flight at most")
        if (status := on.milonga.stop()) != 0:
            report.wrong.append(f"afterwards it stopped with {status}")
    return report


def wait(dice: Random) -> None:
    """A random moment of a running load."""
    time.sleep(dice.uniform(0.0, 0.4))


def kill_delivery(on: Scene) -> None:
    """Its parent starts it again."""
    eventually(on.milonga.kill_delivery, "a delivery process to kill")


def kill_collector(on: Scene) -> None:
    """Its child hands back and goes."""
    on.milonga.kill_collector()
    on.milonga.start()


def kill_both(on: Scene) -> None:
    """The child first, in the same moment."""
    on.milonga.kill_delivery()
    on.milonga.kill_collector()
    on.milonga.start()


CASE = Case(
    number=1,
    name="kills",
    says="SIGKILL of collector, delivery and both, at random moments and at each named step of the write path",
    bound=300,
    short=35,
    run=run,
)
