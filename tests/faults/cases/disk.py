"""Case 3: the disk is full, read-only, failing or slow."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.faults.at_steps import back_to_version_1
from tests.faults.case import Case, Report, Run, Skipped
from tests.faults.disk_faults import BROKEN, READ_ONLY, SLOW, injected
from tests.faults.load import Load
from tests.faults.runner import side_by_side
from tests.faults.scene import Scene, scene
from tests.running import eventually
from tests.small_disk import free, leave_free, small_disk

KB: Final = 1024
MB: Final = 1024 * KB
SIZE: Final = 80  #: megabytes of the small disk
LASTS: Final = 10.0  #: seconds that a fault lasts
SHORT: Final = 2.0


def run(run: Run) -> Iterator[Report]:
    """On a small disk of its own, and, for what only the kernel can do, with calls that fail."""
    yield from side_by_side(partial(full, run), partial(failing, run), partial(unable_to_start, run))


@contextmanager
def disk_of(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk that is soon full. Skipped where nothing may be mounted."""
    folder.mkdir(parents=True)
    try:
        with small_disk(folder, megabytes) as disk:
            yield disk
    except pytest.skip.Exception as error:
        raise Skipped(str(error)) from None


def lasting(run: Run) -> float:
    """Seconds that a fault lasts."""
    return SHORT if run.short else LASTS


def full(run: Run) -> Iterator[Report]:
    """Somebody else fills the disk while events are taken in and recorded: first what is left to senders, then all."""
    with disk_of(run.folder / "full", SIZE) as disk, scene(disk) as on:
        load = on.load(run.seed, pace=400)
        on.flows(load, time.monotonic())
        report = Report(fault="disk full while accepting and recording", times=0)
        for left in (8 * MB, 0) * (1 if run.short else 3):
            ballast = _fill(disk, left)
            _refuses(load)
            if left:
                _delivers(on)
            time.sleep(lasting(run))
            report.notes.append(f"{free(disk) // MB} MB left: senders are refused")
            ballast.unlink()
            report.times += 1
            report.recovery.append(on.flows(load, time.monotonic()))
        load.stop()
        on.judge(report, load)
        _stops(on, report)
    yield report


def _fill(disk: Path, left: int) -> Path:
    """While the server writes: it may take the last byte itself. The file that fills it."""
    with suppress(OSError):
        leave_free(disk, left)
    return disk / "ballast"


def _refuses(load: Load) -> None:
    """Wait until nothing is acknowledged any more, for half a second."""

    def still() -> bool:
        acked = len(load.acked)
        time.sleep(0.5)
        return len(load.acked) == acked

    eventually(still, "senders are refused")


def _delivers(on: Scene) -> None:
    """In the reserve, delivery goes on until it has nothing left."""
    eventually(lambda: on.milonga.ask("destinations", "show", "totango")["waiting"] == 0, "delivery goes on")


def _stops(on: Scene, report: Report) -> None:
    if (status := on.milonga.stop()) != 0:
        report.wrong.append(f"afterwards it stopped with {status}")


def failing(run: Run) -> Iterator[Report]:
    """One server and one load; calls of both of its processes fail for a while, or take long."""
    with scene(run.folder / "failing") as on:
        load = on.load(run.seed, pace=200)
        on.flows(load, time.monotonic())
        report = Report(fault="disk read-only, failing, slow", times=0)
        for name, what, flows in (
            ("read-only", READ_ONLY, False),
            ("each seventh write or sync fails", BROKEN, None),
            ("each sync takes 0.1 s more", SLOW, True),
        ):
            child = on.milonga.delivery_pid()
            pids = [on.milonga.pid, *([child] if child is not None else [])]
            with injected(what, *pids):
                before = len(load.acked)
                time.sleep(lasting(run))
                took = len(load.acked) - before
            report.notes.append(f"{name}: {took:,} events acknowledged in {lasting(run):.0f} s")
            if flows is False and took > 100:  # what was under way when it began
                report.wrong.append(f"{name}: {took} events were acknowledged all the same")
            if flows is True and not took:
                report.wrong.append(f"{name}: no event was acknowledged")
            report.times += 1
            report.recovery.append(on.flows(load, time.monotonic()))
        load.stop()
        on.judge(report, load)
        _stops(on, report)
    yield report


def unable_to_start(run: Run) -> Iterator[Report]:
    """Events wait on a disk; a start there is refused in words, changes nothing, and works once the disk does."""
    with disk_of(run.folder / "start", SIZE) as disk, scene(disk) as on:
        on.totango.behave(status=503)
        load = on.load(run.seed, most=2_000).finish()
        on.milonga.stop()
        report = Report(fault="start and migration on a read-only or full disk", times=0)
        with _read_only(disk):
            _refused(on, "read-only", report)
        for left in (0,) if run.short else (0, 48, 96, 144, 192, 256):
            back_to_version_1(on.milonga.data / "workspace.db", on.totango.url)
            ballast = leave_free(disk, left * KB)
            _refused(on, f"{left} kB free, and workspace.db to be migrated", report)
            ballast.unlink()
            report.times += 1
        begun = time.monotonic()
        on.milonga.start()
        report.recovery.append(time.monotonic() - begun)
        on.totango.behave_well()
        on.judge(report, load)
        _stops(on, report)
    yield report


@contextmanager
def _read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def _refused(on: Scene, name: str, report: Report) -> None:
    """If it does not start there, it says why, and that is no traceback."""
    words = on.milonga.try_to_start()
    report.notes.append(f"{name}: {words.strip().splitlines()[-1][:160] if words else 'it starts'}")
    if words is not None and ("Traceback" in words or not words.strip()):
        report.wrong.append(f"a start, {name}, says {words[-600:]!r}")


CASE = Case(
    number=3,
    name="disk",
    says="the disk is full while accepting, recording and migrating, read-only, failing, slow",
    bound=90,
    short=20,
    run=run,
)
