"""
The clock of a process of delivery, and what becomes of its waits when somebody sets the machine's.

Waits are counted by how long the machine has run; only when a look at the wall clock finds it set (`follow`) do all of
them move with it, so that none becomes hours long or ends at once. What a clock that was set forward has left out is
no time in which an event waited: it does not count towards its age, or a wrong clock that is set right would expire
all that waits. Time in which the machine slept did pass, and counts.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

SET = 1.0  #: seconds: what the wall clock is off by less is drift, and followed without a word
TOLD = 10.0  #: seconds: what it was set by more is told
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Skips = Sequence[tuple[int, int]]
"""Stretches of the wall clock that never were, unix milliseconds (from, to), in order."""


class Clock:
    """
    Unix seconds that run as the machine does. Setting the wall clock shows in them only through `follow`.

    wall     unix seconds
    running  seconds for which the machine has run, its sleep included
    booted   the same as long as `running` counts from the same start; "" if that cannot be known
    """

    def __init__(self, wall: Callable[[], float], running: Callable[[], float], booted: str) -> None:
        self._wall, self._running, self.booted = wall, running, booted
        self.offset = wall() - running()

    def __call__(self) -> float:
        return self._running() + self.offset

    def is_in_step(self) -> bool:
        """False from when the wall clock is set until `follow`: what others stamp meanwhile looks older or newer."""
        return abs(self._wall() - self()) < SET

    def follow(self) -> float:
        """Take over what the wall clock says. By how many seconds it was set since the last time; 0.0 if it was not."""
        off = self._wall() - self()
        self.offset += off
        return off if abs(off) >= SET else 0.0


def running() -> float:
    """Seconds since the machine's start."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def boot() -> str:
    """A name of the machine's last start."""
    try:
        return BOOT_ID.read_text().strip() if hasattr(time, "CLOCK_BOOTTIME") else ""
    except OSError:
        return ""


def skips_after(skips: Skips, before: int, now: int) -> list[tuple[int, int]]:
    """With a clock that was set from `before` to `now`. Set back, what lies ahead of it has yet to come."""
    kept = [(begin, min(end, now)) for begin, end in skips if begin < now]
    return [*kept, (before, now)] if now > before else kept


def skipped_within(skips: Skips, since: int, until: int) -> int:
    """Milliseconds of the time from `since` to `until` that never were."""
    return sum(max(0, min(end, until) - max(begin, since)) for begin, end in skips)
