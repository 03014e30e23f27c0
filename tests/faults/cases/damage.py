"""Case 9: bytes that change in the files of the data directory."""

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any, Final

import structlog
import typer

from milonga.cli.check import command as check
from milonga.cli.halves import Keep, deliver
from milonga.cli.highest import highest_offset
from milonga.eventlog.aside import DAMAGED
from milonga.eventlog.sqlite import SqliteLog
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.faults.case import Case, Report, Run
from tests.faults.looking import number_of_destination, state
from tests.faults.mix import Made, number_of
from tests.faults.runner import dice_of
from tests.faults.scene import Scene, scene
from tests.faults.verdict import out_of_order, outcomes_in, taken
from tests.running import eventually

SEEDS: Final = 100
SHORT: Final = 6
EVENTS: Final = 600  #: delivered before, and as many that wait
PAGE: Final = 4096
PATIENCE: Final = 60.0
PARTS: Final = ("the log's write-ahead log", "the rest of the log", "delivery.db, outcomes and their write-ahead logs")
ASIDE_FROM_IT: Final = ("workspace.db", "lock")  #: docs/operate.md, "A damaged workspace", has the first


def run(run: Run) -> Iterator[Report]:
    """Half of the events are delivered, the rest wait, the server is killed. Then a copy for each throw of the dice."""
    times = SHORT if run.short else SEEDS
    report = Report(fault="bytes of random files changed", times=times)
    with scene(run.folder / "template") as on:
        events = EVENTS // 3 if run.short else EVENTS
        load = on.load(run.seed, most=events).finish()
        number = number_of_destination(on.milonga.data, "totango")
        eventually(lambda: len(outcomes_in(on.milonga.data, number)) >= events, "the first half delivered")
        on.milonga.say("destinations", "pause", "totango")
        eventually(lambda: state(on.milonga.data) is DestinationState.paused, "paused")
        time.sleep(1.0)  # the pause is in force
        made = dict(load.made)
        second = on.load(run.seed, most=events, first=1_000_000).finish()
        made |= second.made
        on.milonga.kill_delivery()
        on.milonga.kill_collector()
        on.milonga.say("destinations", "resume", "totango")
        sound = after(run, on, "sound", made, None)
        report.wrong += [f"undamaged: {words}" for words in sound.wrong]
        if sound.told or sound.checked:
            report.wrong.append("undamaged: damage was told")
        expected = {number: params for number, params in sound.arrived.items() if number >= 1_000_000}
        totals = {"harmless": 0, "lost some": 0}
        losses: dict[str, list[int]] = {part: [] for part in PARTS}
        dice = dice_of(run, "damage")
        for n in range(times):
            what = Spoiled(dice)
            found = after(run, on, str(n), made, what)
            report.events += len(expected)
            missing = expected.keys() - found.arrived.keys()
            losses[what.part].append(len(missing))
            totals["lost some" if missing else "harmless"] += 1
            report.duplicates += len(found.arrived.keys() - expected.keys()) + found.twice
            report.reordered += [f"{what.says}: {words}" for words in found.reordered]
            report.wrong += [f"{what.says}: {words}" for words in found.wrong]
            report.wrong += [
                f"{what.says}: event {number} was sent as {params}"
                for number, params in found.arrived.items()
                if params != expected.get(number, params)
            ]
            if missing and not found.told:
                report.wrong.append(f"{what.says}: {len(missing)} events are lost, and the log does not tell")
            if missing and not found.checked:
                report.wrong.append(f"{what.says}: {len(missing)} events are lost, and `milonga check` saw nothing")
            if found.passed_by and not found.told:
                report.wrong.append(f"{what.says}: a server that starts does not tell what {found.passed_by} hides")
            if n % 10 == 9:
                run.tell(f"{n + 1} of {times}: {totals}")
        report.notes.append(
            f"of {times} damaged directories {totals['harmless']} delivered all of {len(expected)} events that waited,"
            f" {totals['lost some']} all but what stood at the damaged place, which the log and `milonga check` told"
        )
        report.notes += [
            f"{len(lost)} were hit in {part}: {sum(map(bool, lost))} lost events, {sum(lost)} in all,"
            f" {max(lost)} at most"
            for part, lost in losses.items()
            if lost
        ]
    yield report


class Spoiled:
    """A throw of the dice: which file, where, and how."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self.says = self.part = ""

    def do(self, data: Path) -> None:
        dice = self._dice
        by_size = dice.random() < 0.5
        files = sorted(path for path in data.rglob("*") if self._may(path))
        weights = [path.stat().st_size if by_size else 1 for path in files]
        (path,) = dice.choices(files, weights)
        found = bytearray(path.read_bytes())
        at = dice.randrange(len(found))
        match dice.randrange(4):
            case 0:
                found[at] ^= 1 << dice.randrange(8)
                how = f"a bit of byte {at}"
            case 1:
                length = dice.randrange(1, 65)
                found[at : at + length] = dice.randbytes(len(found[at : at + length]))
                how = f"{length} bytes at {at}"
            case 2:
                begin = at // PAGE * PAGE
                found[begin : begin + PAGE] = bytes(len(found[begin : begin + PAGE]))
                how = f"{PAGE} zeros at {begin}"
            case _:
                begin = at // PAGE * PAGE
                found[begin : begin + PAGE] = dice.randbytes(len(found[begin : begin + PAGE]))
                how = f"{PAGE} random bytes at {begin}"
        path.write_bytes(found)
        name = path.relative_to(data).as_posix()
        self.says = f"{name}, {how}"
        self.part = PARTS[
            (2 if not name.startswith("log/") else 1 if name.endswith(".db") or "counters" in name else 0)
        ]

    @staticmethod
    def _may(path: Path) -> bool:
        """Not the -shm: it is made anew."""
        name = path.name
        if name.startswith(ASIDE_FROM_IT) or name.endswith("-shm") or ".db" not in name:
            return False
        return path.is_file() and path.stat().st_size > 0


class Found:
    """
    arrived    number -> what the receiver got of it
    told       the log names damage
    checked    so did `milonga check`, before the start
    passed_by  write-ahead logs in which it found commits that SQLite passes by
    """

    def __init__(self) -> None:
        self.arrived: dict[int, Mapping[str, Any]] = {}
        self.twice = 0
        self.told = self.checked = False
        self.passed_by: list[str] = []
        self.reordered: list[str] = []
        self.wrong: list[str] = []


def after(run: Run, on: Scene, name: str, made: Mapping[int, Made], spoiled: Spoiled | None) -> Found:
    """What comes of a copy that was spoiled so: checked, then delivered by what `milonga serve` consists of."""
    found, data = Found(), run.folder / name / "data"
    shutil.copytree(on.milonga.data, data, ignore=shutil.ignore_patterns("bells", "lock"))
    if spoiled is not None:
        spoiled.do(data)
    found.checked = complains(data, found)
    on.totango.clear()
    with structlog.testing.capture_logs() as logs:
        live(data, found)
    found.told = any(one["log_level"] in ("error", "warning", "critical") for one in logs)
    accepted = taken(on.totango.requests())
    for seen in accepted:
        if (number := number_of(seen.params)) is not None:
            found.twice += number in found.arrived
            found.arrived[number] = {key: value for key, value in seen.params.items() if key != "r"}
    found.reordered = list(out_of_order(accepted, made))
    shutil.rmtree(run.folder / name)
    return found


def complains(data: Path, found: Found) -> bool:
    """Whether `milonga check` finds anything; it must not break down itself."""
    said = StringIO()
    try:
        with redirect_stdout(said), suppress(typer.Exit):
            check(data=data, json=True)
        answer = json.loads(said.getvalue())
        found.passed_by = [one["file"] for one in answer["problems"] if one["file"].endswith("-wal")]
        return not answer["ok"]
    except Exception as error:  # whatever it is, it is what an operator would see
        found.wrong.append(f"check: {type(error).__name__}: {error}")
        return False


def live(data: Path, found: Found) -> None:
    """Both halves, until nothing waits. In a thread: the collector's log; delivery, begun anew if it ends."""
    failure: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(_live(data))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(2 * PATIENCE)
    if thread.is_alive():
        found.wrong.append("it never came to an end")
    found.wrong += [f"it broke off: {type(error).__name__}: {error}" for error in failure]


async def _live(data: Path) -> None:
    with Workspace.open(data) as workspace:
        event_log = await SqliteLog.open(data / "log", behind=highest_offset(data, workspace))
        (destination,) = (one.id for one in workspace.destinations())
    stop = asyncio.Event()

    async def delivery() -> None:
        for _ in range(5):
            with suppress(*DAMAGED):
                await deliver(data, allow_private=True, keep=Keep(), stop=stop)
                return

    task = asyncio.create_task(delivery())
    try:
        deadline = time.monotonic() + PATIENCE
        while not task.done() and not await asyncio.to_thread(_ended, data, destination, await event_log.end(0)):
            assert time.monotonic() < deadline, "delivery never came to the end of the log"
            await asyncio.sleep(0.1)
    finally:
        stop.set()
        await task
        await event_log.close()


def _ended(data: Path, destination: int, end: int) -> bool:
    """Whether delivery's position has come to the end of the log."""
    from milonga.delivery.store_reader import DeliveryReader

    try:
        reader = DeliveryReader(data / "delivery.db")
    except Exception:  # it is being made
        return False
    try:
        position = reader.position(destination, 0)
        return position is not None and position >= end
    finally:
        reader.close()


CASE = Case(
    number=9,
    name="damage",
    says="bytes changed at random in the log, the outcomes and delivery.db: what is damaged is told, all else"
    " delivered",
    bound=100,
    short=10,
    run=run,
)
