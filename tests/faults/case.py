"""What a case of the fault suite is, and what it reports. Pure."""

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import TypeAlias

from msgspec import Struct, field


class Run(Struct, frozen=True, kw_only=True):
    """
    folder  for everything the case writes; empty, and gone afterwards
    seed    all dice of the case come from it, by `dice_of`
    short   as much as the tests have time for
    tell    shows a line of progress
    """

    folder: Path
    seed: int
    short: bool
    tell: Callable[[str], None]


class Report(Struct, kw_only=True):
    """
    What came of one fault: one row of the table.

    fault       what was done
    times       how often
    events      acknowledged to the client
    lost        acknowledged events that are neither delivered nor have an outcome that says why not, in words
    reordered   arrivals that broke the order of one of their keys, in words
    duplicates  requests that a receiver took in more than once
    recovery    seconds from the end of each fault until all went on
    wrong       anything else that must not be, in words
    notes       figures worth a line in docs/reliability.md
    """

    fault: str
    times: int = 1
    events: int = 0
    lost: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    duplicates: int = 0
    recovery: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        return bool(self.lost or self.reordered or self.wrong)

    @property
    def recovered(self) -> str:
        """For the table: the median and the longest."""
        if not self.recovery:
            return "-"
        return f"{median(self.recovery):.1f} / {max(self.recovery):.1f} s"


class Skipped(Exception):
    """This machine cannot run the case, or a part of it; the words say what it lacks."""

    def __init__(self, words: str, *, installable: bool = False) -> None:
        """installable  a program is missing: where CI is set, that is a failure"""
        super().__init__(words)
        self.installable = installable


Runs: TypeAlias = Callable[[Run], Iterator[Report]]


class Case(Struct, frozen=True, kw_only=True):
    """
    number  of its place in the suite, and in issue and docs
    name    for --only
    says    what it does, in a sentence
    bound   seconds that a run may take
    short   seconds that a short run may take
    run     a report for each row
    apart   left out unless it is named: it takes longer than everything else together
    """

    number: int
    name: str
    says: str
    bound: float
    short: float
    run: Runs
    apart: bool = False
