"""How the rows of a run are shown, and written down for docs/reliability.md. Pure."""

import datetime
from collections.abc import Sequence
from typing import Any

from tests.faults.runner import Row

HEADS = ("case", "fault", "times", "events", "lost", "reordered", "duplicates", "recovery", "seconds")
NAMED = 5  #: examples of what is wrong


def line_of(row: Row) -> str:
    """One line of the table, as Markdown."""
    r = row.report
    cells = (
        f"{row.case.number} {row.case.name}",
        r.fault,
        f"{r.times:,}",
        f"{r.events:,}",
        f"{len(r.lost):,}",
        f"{len(r.reordered):,}",
        f"{r.duplicates:,}",
        r.recovered,
        f"{r.seconds:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def heading() -> str:
    return f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}"


def troubles(row: Row, seed: int, *, short: bool) -> list[str]:
    """What is wrong in it, in words, and how to see it again."""
    words = [
        f"{what}: {one}"
        for what, found in (("LOST", row.report.lost), ("REORDERED", row.report.reordered), ("WRONG", row.report.wrong))
        for one in _some(found)
    ]
    return [*words, f"    {again(row.case.name, seed, short=short)}"] if words else []


def _some(words: Sequence[str]) -> list[str]:
    rest = len(words) - NAMED
    return [*words[:NAMED], *([f"and {rest:,} more"] if rest > 0 else [])]


def again(name: str, seed: int, *, short: bool) -> str:
    """The command that throws the same dice."""
    return f"python -m tests.faults --seed {seed} --only {name}{' --short' if short else ''}"


def written(rows: Sequence[Row], seed: int, *, short: bool, seconds: float, at: datetime.datetime) -> dict[str, Any]:
    """For --json."""
    return {
        "at": at.isoformat(timespec="seconds"),
        "seed": seed,
        "short": short,
        "seconds": round(seconds),
        "rows": [
            {
                "case": row.case.number,
                "name": row.case.name,
                "fault": row.report.fault,
                "times": row.report.times,
                "events": row.report.events,
                "lost": len(row.report.lost),
                "reordered": len(row.report.reordered),
                "duplicates": row.report.duplicates,
                "recovery": [round(seconds, 3) for seconds in row.report.recovery],
                "seconds": round(row.report.seconds, 1),
                "wrong": [*_some(row.report.lost), *_some(row.report.reordered), *_some(row.report.wrong)],
                "notes": row.report.notes,
            }
            for row in rows
        ],
    }
