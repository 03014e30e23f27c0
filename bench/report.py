"""What a bench found, as a table and as JSON."""

import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from bench.measure import middle
from milonga import __version__


class Row(Struct, frozen=True, kw_only=True):
    """
    what      was measured
    measured  the median of all rounds, in `unit`
    low, high of all rounds
    unit      such as "events/s"
    limit     measured in the same run, in the same unit; None without
    limit_is  what the limit is
    ratio     measured / limit; or what the target speaks of
    target    in words; "" if there is none
    met       None without a target
    """

    what: str
    measured: float
    low: float
    high: float
    unit: str
    limit: float | None = None
    limit_is: str = ""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


class Found(Struct, frozen=True):
    """
    rows   of the table
    notes  what one must know to read them
    text   of a bench that prints for itself
    """

    rows: list[Row]
    notes: list[str] = []
    text: str = ""


def row(
    what: str,
    values: list[float],
    unit: str,
    *,
    limit: list[float] | None = None,
    limit_is: str = "",
    ratio: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    of: str = "measured",
) -> Row:
    """
    values    of each round
    limit     of each round, measured beside `values`: the ratio is the median of the rounds' ratios
    at_least, at_most  the target, for the ratio or what is measured: `of`
    """
    measured = middle(values)
    if limit is not None and ratio is None:
        ratio = middle([value / beside for value, beside in zip(values, limit, strict=True) if beside])
    judged = ratio if of == "ratio" else measured
    target, met = "", None
    if judged is not None and at_least is not None:
        target, met = f">= {_number(at_least)}", judged >= at_least
    elif judged is not None and at_most is not None:
        target, met = f"<= {_number(at_most)}", judged <= at_most
    if target and of == "ratio":
        target = f"ratio {target}"
    return Row(
        what=what,
        measured=measured,
        low=min(values),
        high=max(values),
        unit=unit,
        limit=None if limit is None else middle(limit),
        limit_is=limit_is,
        ratio=ratio,
        target=target,
        met=met,
    )


def table(rows: list[Row]) -> str:
    head = ("what", "measured", "(low - high)", "unit", "limit", "ratio", "target", "")
    cells = [head, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    right = {1, 4, 5}
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    limits = dict.fromkeys(f"limit of {one.what}: {one.limit_is}" for one in rows if one.limit_is)
    return "\n".join([*lines, *limits])


def _cells(one: Row) -> tuple[str, ...]:
    spread = "" if one.low == one.high else f"({_number(one.low)} - {_number(one.high)})"
    return (
        one.what,
        _number(one.measured),
        spread,
        one.unit,
        "" if one.limit is None else _number(one.limit),
        "" if one.ratio is None else f"{one.ratio:.2f}",
        one.target,
        {True: "ok", False: "MISSED", None: ""}[one.met],
    )


def _number(value: float) -> str:
    if value and abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def machine(folder: Path) -> dict[str, str | int | float]:
    """What the figures depend on; `folder` is where the data lie."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "milonga": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "kernel": platform.release(),
        "disk": f"{folder} ({_file_system(folder)})",
        "fdatasync_us": round(_fdatasync(folder) * 1e6),
        "load_before": round(os.getloadavg()[0], 2),
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The type of the mount that holds it: on tmpfs nothing is durable, and figures are too good."""
    found = ("", "?")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if folder.resolve().is_relative_to(where) and len(where) > len(found[0]):
            found = (where, kind)
    return found[1]


def _fdatasync(folder: Path) -> float:
    """Seconds, the median of 50 appends of 4 kB."""
    path = folder / "fdatasync"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return middle(times)
