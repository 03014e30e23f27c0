"""A token bucket, and the receiver's own "not before". Pure: the clock is an argument."""

from typing import Final

BURST: Final = 0.1  #: seconds' worth of requests that may go at once after a quiet spell; one in any case


def burst_of(per_second: float) -> float:
    """Requests that may go at once."""
    return max(1.0, per_second * BURST)


class RateLimit:
    """per_second  requests a second, above 0; 0: no limit"""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._tokens = self._burst = burst_of(per_second)
        self._at: float | None = None
        self._not_before = 0.0

    def set(self, per_second: float, now: float) -> None:
        """From now on. What has gathered under a higher rate does not go on top of a lower one."""
        self._refill(now)
        self._per_second, self._burst = per_second, burst_of(per_second)
        self._tokens = min(self._tokens, self._burst)

    def hold(self, until: float) -> None:
        """The receiver said 429: send nothing before `until` (unix seconds)."""
        self._not_before = max(self._not_before, until)

    def clock_set(self, seconds: float) -> None:
        """The clock was set by so much: what was asked for lasts as long as it would have."""
        self._not_before += seconds
        if self._at is not None:
            self._at += seconds

    def wait(self, now: float) -> float:
        """Seconds until the next request may go; 0.0 if it may now."""
        if now < self._not_before:
            return self._not_before - now
        if not self._per_second:
            return 0.0
        self._refill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._per_second

    def take(self, now: float) -> None:
        """A request goes out. Only after `wait` said 0.0."""
        if self._per_second:
            self._refill(now)
            self._tokens -= 1.0

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
