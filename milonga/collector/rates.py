"""How many events a source may send: a bucket of tokens for each that has a limit. Pure but for its clock."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

BURST: Final = 10  #: seconds' worth of events that may come at once


class _Bucket(Struct):
    """
    tokens  events that may come now
    at      seconds, when that was so
    """

    tokens: float
    at: float


class Rates:
    def __init__(self, clock: Callable[[], float]) -> None:
        """clock  seconds, never going back"""
        self._clock = clock
        self._buckets: dict[int, _Bucket] = {}

    def take(self, source: int, limit: int, events: int) -> float:
        """
        0 if so many events may come now, and they are counted; else the seconds after which they might.

        limit   events a second; a change holds at once
        events  of one request. More than the bucket holds may pass when it is full, and empty it
        """
        now, most = self._clock(), float(limit * BURST)
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = _Bucket(most, now)
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * limit)
        bucket.at = now
        missing = min(float(events), most) - bucket.tokens
        if missing > 0:
            return missing / limit
        bucket.tokens -= min(float(events), most)
        return 0.0
