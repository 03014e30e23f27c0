"""Counters that only grow, made of counts per minute that come late, are forgotten, and may be of any size. Pure."""

from collections.abc import Iterable
from typing import Final, Generic, TypeAlias, TypeVar

LATE: Final = 60  #: minutes: what is counted for a minute further back is no longer seen
DAY: Final = 1_440  #: minutes

K = TypeVar("K")
Rows: TypeAlias = Iterable[tuple[int, K, int]]
"""(minute, key, how many); minute is unix seconds / 60. A key and minute may come more than once: it is the sum."""


class Running(Generic[K]):
    """
    What was added since the first look, by key. Each look reads the last hour or two only, so that it costs as much
    after a year as on the first day; a clock that was set, and minutes that are forgotten, take nothing away.

    totals  key -> how many were added since the first look
    last    key -> the newest minute with any, of those looked at
    """

    def __init__(self, now: int) -> None:
        """now  minute"""
        self.totals: dict[K, int] = {}
        self.last: dict[K, int] = {}
        self._since = now - LATE
        self._seen: dict[K, int] | None = None
        self._rows: list[tuple[int, K, int]] = []

    def reads_from(self, now: int) -> int:
        """The first minute that `look` must be given."""
        return min(self._since, now - LATE)

    def look(self, now: int, rows: Rows[K]) -> None:
        """rows  all there are from `reads_from(now)` on; of older ones only `last` takes notice"""
        self._rows = list(rows)
        seen = self._sums(self._since)
        for key, n in seen.items():
            before = n if self._seen is None else self._seen.get(key, 0)
            self.totals[key] = self.totals.get(key, 0) + max(0, n - before)
        for minute, key, n in self._rows:
            if n and minute <= now:
                self.last[key] = max(minute, self.last.get(key, minute))
        self._seen = seen
        if now < self._since or now - self._since > 2 * LATE:
            self._since = now - LATE
            self._seen = self._sums(self._since)

    def within(self, since: int) -> dict[K, int]:
        """Key -> how many from this minute on, as of the last look; at most LATE minutes back."""
        return self._sums(since)

    def _sums(self, since: int) -> dict[K, int]:
        sums: dict[K, int] = {}
        for minute, key, n in self._rows:
            if minute >= since:
                sums[key] = sums.get(key, 0) + n
        return sums
