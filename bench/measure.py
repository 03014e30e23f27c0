"""What Linux knows of processes: CPU time, memory, cores; and what is made of many numbers."""

import os
import resource
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

TICK: Final = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Seconds of CPU time of a process, its threads included. Steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def own_cpu() -> float:
    """Seconds of this process, exactly."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def middle(values: Sequence[float]) -> float:
    return median(values)


class Cores:
    """
    The core that what is measured runs on, alone if there are two; everything else is on the others.

    measured, others, all  what os.sched_setaffinity takes
    """

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.count = len(cores)
        self.measured = {cores[0]}
        self.others = set(cores[1:]) or {cores[0]}
        self.all = set(cores)


def pin(pid: int, cores: set[int]) -> None:
    """A process with all the threads it has; those it makes later, and its children, inherit it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(thread.name), cores)
        except ProcessLookupError:
            continue  # ended a moment ago


class Noise:
    """How much of the machine others took meanwhile. What was started since must have ended before `share`."""

    def __init__(self) -> None:
        self._busy, self._ours, self._began = _busy(), _ours(), time.monotonic()

    def share(self) -> float:
        """0.0 to 1.0 of all cores."""
        seconds = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        others = _busy() - self._busy - (_ours() - self._ours)
        return min(1.0, max(0.0, others / seconds))


def _busy() -> float:
    """CPU seconds since boot that were neither idle nor waiting for a disk; stolen ones count."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


def _ours() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own_cpu() + ended.ru_utime + ended.ru_stime
