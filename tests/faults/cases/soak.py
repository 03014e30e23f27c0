"""Case 8: a long steady load. `make soak` draws it, too."""

from collections.abc import Iterator

from tests.faults.case import Case, Report, Run
from tests.faults.soak import creeping, notes, soak

MINUTES = 30


def run(run: Run) -> Iterator[Report]:
    seconds, probe = (5.0, 1.5) if run.short else (MINUTES * 60.0, 20.0)
    soaked = soak(run.folder / "scene", run.seed, seconds=seconds, probe=probe, tell=run.tell)
    soaked.report.notes += notes(soaked)
    if not run.short:
        soaked.report.wrong += creeping(soaked.samples)
    yield soaked.report


CASE = Case(
    number=8,
    name="soak",
    says=f"{MINUTES} minutes at half of the maximum rate: memory, files and latency stay as they are",
    bound=MINUTES * 60 + 300,
    short=13,
    run=run,
    apart=True,
)
