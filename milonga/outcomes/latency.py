"""How long deliveries took, from the arrival of an event to its delivery: counted in fixed buckets. Pure."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

BITS: Final = 2  #: four buckets to every doubling, so that a bucket's bounds are at most a quarter apart
EXACT: Final = 1 << BITS  #: milliseconds below which each has a bucket of its own


def bucket_of(milliseconds: int) -> int:
    """0, 1, 2, ...: a fraction of a microsecond's work. What ended before it began (a clock that was set) took 0."""
    if milliseconds < EXACT:
        return max(0, milliseconds)
    shift = milliseconds.bit_length() - BITS - 1
    return (shift << BITS) + (milliseconds >> shift)


def bounds(bucket: int) -> tuple[int, int]:
    """Milliseconds: from, and below."""
    if bucket < EXACT:
        return bucket, bucket + 1
    shift = (bucket >> BITS) - 1
    first = ((bucket & (EXACT - 1)) + EXACT) << shift
    return first, first + (1 << shift)


class Latencies(Struct, frozen=True):
    """counts  bucket -> deliveries"""

    counts: Mapping[int, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def percentile(self, share: float) -> float | None:
        """Milliseconds that this share (0.0 to 1.0) of the deliveries did not exceed, about; None without any."""
        wanted, passed = share * self.total, 0
        for bucket in sorted(self.counts):
            n = self.counts[bucket]
            if passed + n >= wanted and n:
                low, high = bounds(bucket)
                return low + (high - low) * max(0.0, wanted - passed) / n
            passed += n
        return None
