"""SIGKILL at each named step of the write path: the process kills itself there (tests/faults/plug)."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final

import apsw

from milonga.workspace.migrate import migrations, version_of
from tests.faults.case import Report, Run
from tests.faults.load import Load
from tests.faults.plug.orders import Order, Plug, environment, give
from tests.faults.plug.steps import COLLECTOR, DELIVERY, MIGRATION
from tests.faults.runner import dice_of
from tests.faults.scene import KEY, Scene, scene
from tests.running import eventually

SHORT: Final = (
    *("after-insert", "after-commit", "before-answer", "segment-created", "indexing"),
    *("answered", "outcomes-committed", "position", "parked", "store-committed"),
)
AFTER_A_START: Final = {"log-opened", "resumed"}  #: passed only there: the process is killed first
AT_A_STOP: Final = {"stopping"}
DROPPING: Final = ("dropping", "dropped")
SEALING: Final = {"segment-created", "segment-named", "sealed", "rolled", "indexing", "indexed", "outcomes-next"}
RARE: Final = AFTER_A_START | AT_A_STOP | SEALING  #: killed there the first time


def while_writing(run: Run) -> Iterator[Report]:
    """One load for all: one account fails twice for each event, so that its lines are parked; one is refused."""
    order = run.folder / "order-writing"
    plug, dice = Plug(order=str(order)), dice_of(run, "steps")
    steps = [name for name in (*COLLECTOR, *DELIVERY) if (name in SHORT or not run.short) and name not in DROPPING]
    dice.shuffle(steps)  # a process that dies ten times in a row is started late
    with scene(run.folder / "steps", environment=environment(plug)) as on:
        on.totango.behave(delay_ms=5)
        on.totango.behave(status=[503, 503, 200], match={"sdr_o": "a0"})
        on.totango.behave(status=400, match={"sdr_o": "a1"})
        load = on.load(run.seed, pace=500)
        report = Report(fault="SIGKILL at each named step", times=0)
        for name in steps:
            _kill_at(on, load, order, name, dice, report)
            run.tell(f"{name}: {report.recovery[-1]:.1f} s to recover")
        load.stop()
        on.totango.behave_well()
        on.judge(report, load, forgiven=("http_400",))
        yield report


def _kill_at(on: Scene, load: Load, order: Path, name: str, dice: Random, report: Report) -> None:
    """And see that all goes on."""
    collector = name in COLLECTOR
    give(order, Order(name, 0 if name in RARE else dice.randrange(3)))
    if name in AFTER_A_START:
        if collector:
            on.milonga.kill_collector()
            on.milonga.start_in_vain()
        else:
            on.milonga.kill_delivery()
    if name in AT_A_STOP:
        on.milonga.stop()
    eventually(lambda: not order.exists(), f"the step {name} is passed")
    since = time.monotonic()
    if collector and name not in AFTER_A_START:
        on.milonga.ended()
    if collector or name in AT_A_STOP:
        on.milonga.start()
    report.recovery.append(on.flows(load, since))
    report.times += 1


def while_dropping(run: Run) -> Iterator[Report]:
    """Old segments go while the collector is killed: nothing that is needed goes with them."""
    order = run.folder / "order-dropping"
    report = Report(fault="SIGKILL while a segment of the log is dropped", times=0)
    plug, dice = Plug(order=str(order), keep_seconds=0.5, seal_events=500), dice_of(run, "dropping")
    with scene(run.folder / "dropping", environment=environment(plug)) as on:
        load = on.load(run.seed, pace=500)
        for name in DROPPING * 2:
            _kill_at(on, load, order, name, dice, report)
        load.stop()
        on.judge(report, load)
    yield report


def while_migrating(run: Run) -> Iterator[Report]:
    """A workspace of the first version, with events on their way, is brought forward; each time it is killed."""
    order = run.folder / "order-migrating"
    steps = ("migrating",) if run.short else tuple(MIGRATION)
    report = Report(fault="SIGKILL while workspace.db is migrated", times=0)
    with scene(run.folder / "migrating", environment=environment(Plug(order=str(order)))) as on:
        on.totango.behave(status=503)
        load = on.load(run.seed, most=2_000).finish()
        on.milonga.stop()
        for name in steps:
            workspace = on.milonga.data / "workspace.db"
            back_to_version_1(workspace, on.totango.url)
            give(order, Order(name))
            on.milonga.start_in_vain()
            assert not order.exists(), f"the step {name} is not passed"
            since = time.monotonic()
            on.milonga.start()
            report.recovery.append(time.monotonic() - since)
            report.times += 1
            with closing(apsw.Connection(str(workspace), flags=apsw.SQLITE_OPEN_READONLY)) as db:
                if version_of(db) != migrations()[-1].version:
                    report.wrong.append(f"after a kill while {name} it is of version {version_of(db)}")
            if name != steps[-1]:
                on.milonga.stop()
        on.totango.behave_well()
        on.judge(report, load)
    yield report


def back_to_version_1(workspace: Path, receiver: str) -> None:
    """The same source and destination, as the first version wrote them."""
    for path in workspace.parent.glob("workspace.db*"):
        path.unlink()
    settings = f'{{"serviceId":"SP-12345-01","endpoint":"{receiver}/pixel.gif/"}}'
    with closing(apsw.Connection(str(workspace))) as db:
        db.pragma("journal_mode", "wal")
        db.execute(migrations()[0].sql)
        db.execute("INSERT INTO source VALUES (1, 'web', 1700000000000, NULL)")
        db.execute("INSERT INTO write_key VALUES (1, ?, 1)", (KEY,))
        db.execute("INSERT INTO destination VALUES (1, 'totango', 'totango', 1, NULL)")
        db.execute("INSERT INTO settings VALUES (1, 1, 1700000000001, 'cli', ?, '[]')", (settings,))
        db.execute("INSERT INTO state_change VALUES (1, 1, 1700000000002, 'on', 'cli', 'added', '{\"0\":0}')")
        db.pragma("user_version", 1)
