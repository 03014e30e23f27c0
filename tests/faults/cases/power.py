"""Case 2: power loss."""

import shutil
import time
from collections.abc import Iterator, Set
from pathlib import Path
from random import Random
from typing import Final

from msgspec import Struct

from milonga.destinations.pretend import Seen
from tests.faults.case import Case, Report, Run
from tests.faults.mix import Made, number_of
from tests.faults.plug.orders import Plug, environment
from tests.faults.power.disk import Model
from tests.faults.power.looking import lay_out, look
from tests.faults.power.recording import Recording, record, traced
from tests.faults.power.trace import Answer, Sync
from tests.faults.runner import dice_of
from tests.faults.scene import Scene, scene
from tests.faults.verdict import judge, taken
from tests.receiving import Receiving
from tests.running import Milonga

CUTS: Final = 100
SHORT: Final = 16
EVENTS: Final = 4_000
SHORT_EVENTS: Final = 1_200
STARTED: Final = 10  #: of so many cuts, one is gone on from with a server
MODELS: Final[tuple[Model, ...]] = ("strict", "journal")


class Part(Struct, frozen=True):
    """What was sent before a cut (see verdict.Sent)."""

    made: dict[int, Made]
    acked: set[int]


class Slice(Struct, frozen=True):
    """What the receiver got before a cut, and since the server goes on from it (see verdict.Heard)."""

    before: list[Seen]
    receiver: Receiving
    since: int

    def requests(self) -> list[Seen]:
        return [*self.before, *self.receiver.requests()[self.since :]]


def run(run: Run) -> Iterator[Report]:
    """One recording, many cuts."""
    trace, dice = run.folder / "trace", dice_of(run, "cuts")
    plug = environment(Plug(order=str(run.folder / "none")))
    with scene(run.folder / "server", environment=plug, under=traced(trace), start=False) as on:
        on.totango.behave(delay_ms=5)
        on.totango.behave(status=[503, 503, 200], match={"sdr_o": "a0"})
        on.totango.behave(status=400, match={"sdr_o": "a1"})
        recording = record(on, trace, run.seed, SHORT_EVENTS if run.short else EVENTS)
        before = on.totango.requests()
        on.totango.behave_well()
        run.tell(f"{len(recording.calls):,} calls, {len(recording.acks):,} answers")
        for model in MODELS:
            yield _cuts(run, on, recording, before, model, dice)


def _cuts(run: Run, on: Scene, recording: Recording, before: list[Seen], model: Model, dice: Random) -> Report:
    cuts = _places(recording, (SHORT if run.short else CUTS) // len(MODELS), dice)
    report = Report(fault=f"power cut, {model} names", times=len(cuts))
    started = max(1, len(cuts) // STARTED)
    for place, cut in enumerate(cuts):
        folder = run.folder / f"{model}-{place}"
        lay_out(recording.disk.after(cut, model, dice), on.milonga.data, folder / "data")
        acked, at = recording.acked(cut), recording.at(cut)
        had = [seen for seen in before if seen.received_at <= at]
        arrived = {number for seen in taken(had) if (number := number_of(seen.params)) is not None}
        report.events += len(acked)
        lost, wrong = look(folder / "data", acked, arrived, recording.made)
        report.lost += [f"cut {place} at line {cut}: {words}" for words in lost]
        report.wrong += [f"cut {place} at line {cut}: {words}" for words in wrong]
        if place % (len(cuts) // started) == 0:
            _go_on(folder, on, recording, acked, had, report)
        shutil.rmtree(folder)
    return report


def _places(recording: Recording, times: int, dice: Random) -> list[int]:
    """Half of them just after an answer, when most is owed; a quarter around a sync, the rest anywhere."""
    first = recording.acks[0][0]
    answers = [call.begun for call in recording.calls if isinstance(call.what, Answer)]
    syncs = [line for call in recording.calls if isinstance(call.what, Sync) for line in (call.begun, call.ended)]
    all_ = [call.begun for call in recording.calls]
    chosen = [dice.choices((answers, syncs, all_), (2, 1, 1))[0] for _ in range(times)]
    return sorted(dice.choice([line for line in lines if line >= first] or answers) for lines in chosen)


def _go_on(folder: Path, on: Scene, recording: Recording, acked: Set[int], had: list[Seen], report: Report) -> None:
    """A server starts on what is left, and delivers what is owed."""
    since = on.totango.received()
    begun = time.monotonic()
    with Milonga(folder / "data") as milonga:
        milonga.start()
        report.recovery.append(time.monotonic() - begun)
        sent = Part(dict(recording.made), set(acked))
        events = report.events
        judge(report, milonga.data, sent, {"totango": Slice(had, on.totango, since)}, forgiven=("http_400",))
        report.events = events
        milonga.stop()


CASE = Case(
    number=2,
    name="power",
    says="the power goes: of what was not synced, anything may be missing, torn, or there without what was before",
    bound=80,
    short=25,
    run=run,
)
