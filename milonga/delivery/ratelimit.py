"""A token bucket, and the receiver's own "not before". Pure: the clock is an argument."""


class RateLimit:
    """
    per_second  requests a second; None: no limit
    burst       how many may go at once after a quiet spell
    """

    def __init__(self, per_second: float | None, burst: int = 1) -> None:
        self._per_second = per_second
        self._burst = float(max(1, burst))
        self._tokens = self._burst
        self._at: float | None = None
        self._not_before = 0.0

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
        if self._per_second is None:
            return 0.0
        self._refill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._per_second

    def take(self, now: float) -> None:
        """A request goes out. Only after `wait` said 0.0."""
        if self._per_second is not None:
            self._refill(now)
            self._tokens -= 1.0

    def _refill(self, now: float) -> None:
        if self._at is not None and self._per_second is not None and now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
