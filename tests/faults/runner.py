"""Runs cases one after the other, and holds each to its bound."""

import os
import random
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.faults.case import Case, Report, Run, Skipped

NOT_RUN: Final = "not run"


class Row(Struct, frozen=True):
    """A report of a case, as the table has it."""

    case: Case
    report: Report


LATE = "its time"  #: the fault of a row that says that a case took too long


def run_all(
    cases: Iterable[Case], seed: int, *, short: bool, tell: Callable[[str], None], bounded: bool = True
) -> Iterator[Row]:
    """
    A row for each report as it comes; a case that breaks off is a row, too, and so is one that takes too long.

    bounded  hold the cases to their bounds: not where other programs may take the machine's time
    """
    for case in cases:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"milonga-faults-{case.name}-") as folder:
            for report in _run(case, Run(folder=Path(folder), seed=seed, short=short, tell=tell)):
                yield Row(case, report)
        took, bound = time.monotonic() - begun, case.short if short else case.bound
        if bounded and took > bound:
            yield Row(case, _late(took, bound))


def _late(took: float, bound: float) -> Report:
    wrong = f"{took:.0f} s, and {bound:.0f} s are its bound: is the machine busy with something else?"
    return Report(fault=LATE, wrong=[wrong])


def _run(case: Case, run: Run) -> Iterator[Report]:
    begun = time.monotonic()
    try:
        for report in case.run(run):
            report.seconds = report.seconds or time.monotonic() - begun
            begun = time.monotonic()
            yield report
    except Skipped as error:
        yield _not_run(error)
    except Exception as error:  # whatever it is, the other cases are run
        words = "".join(traceback.format_exception(error)[-3:])
        yield Report(fault="broke off", wrong=[words], seconds=time.monotonic() - begun)


def _not_run(error: Skipped) -> Report:
    report = Report(fault=NOT_RUN, times=0, notes=[str(error)])
    if error.installable and os.environ.get("CI"):
        report.wrong.append(f"CI must be able to run it: {error}")
    return report


def side_by_side(*parts: Callable[[], Iterator[Report]]) -> Iterator[Report]:
    """The reports of all parts, each in a thread of its own. What one raises comes out once the others have ended."""

    def collected(part: Callable[[], Iterator[Report]]) -> list[Report]:
        begun, found = time.monotonic(), list[Report]()
        try:
            for report in part():
                report.seconds = time.monotonic() - begun
                begun = time.monotonic()
                found.append(report)
        except Skipped as error:
            found.append(_not_run(error))
        return found

    with ThreadPoolExecutor(len(parts)) as threads:
        for future in as_completed([threads.submit(collected, part) for part in parts]):
            yield from future.result()


def dice_of(run: Run, what: str) -> random.Random:
    """Dice of their own for each part of a case: the same for the same seed, whatever else was thrown."""
    return random.Random(f"{run.seed}/{what}")
