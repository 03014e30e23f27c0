"""
The circuit breaker of one destination. A rule with states is a table: docs/how-it-works.md draws it.

closed     requests flow
open       the destination is down for everybody: nothing is sent until `until`
half_open  one request goes out to see
"""

from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    closed = "closed"
    open = "open"
    half_open = "half_open"


class Sign(StrEnum):
    """What the breaker sees."""

    success = "success"
    failure = "failure"  #: too many failures in a row, for several accounts, without a success between
    time_up = "time_up"  #: the wait is over


TRANSITIONS: dict[State, dict[Sign, State]] = {
    State.closed: {Sign.failure: State.open},
    State.open: {Sign.time_up: State.half_open, Sign.success: State.closed},
    State.half_open: {Sign.success: State.closed, Sign.failure: State.open},
}
"""What is not listed changes nothing. An answer may come in late, hence success also closes an open one."""


class Policy(Struct, frozen=True):
    """
    failures   in a row before it opens
    accounts   different ones among them: one account's trouble is not the destination's
    first      seconds of the first wait
    longest    seconds; each further wait doubles up to this
    """

    failures: int = 10
    accounts: int = 3
    first: float = 0.25
    longest: float = 60.0


class Breaker:
    """Told of every answer; asked before every request."""

    def __init__(self, policy: Policy) -> None:
        self.state = State.closed
        self.until = 0.0
        self._policy = policy
        self._row = 0
        self._accounts: set[str] = set()
        self._opened = 0
        self._up_at = 0.0

    @property
    def is_closed(self) -> bool:
        return self.state is State.closed

    def success(self, now: float) -> bool:
        """An answer that shows the destination is up. True if that closed the breaker."""
        self._up_at = now
        self._row = 0
        self._accounts.clear()
        self._opened = 0
        return self._move(Sign.success)

    def failure(self, account: str, *, sent_at: float, now: float, dice: float) -> bool:
        """
        No answer, or one that says "not now". True if that opened the breaker. While it is closed, a request that was
        sent before the last success tells nothing: the destination has been up since, so it is this account's trouble.
        """
        if self.is_closed and sent_at < self._up_at:
            return False
        self._row += 1
        if len(self._accounts) < self._policy.accounts:
            self._accounts.add(account)
        enough = self._row >= self._policy.failures and len(self._accounts) >= self._policy.accounts
        if self.state is not State.half_open and not enough:
            return False
        if not self._move(Sign.failure):
            return False
        ceiling = min(self._policy.longest, self._policy.first * 2.0 ** min(self._opened, 30))
        self._opened += 1
        self.until = now + ceiling * (0.5 + dice / 2)
        return True

    def clock_set(self, seconds: float) -> None:
        """The clock was set by so much: the wait lasts as long as it would have."""
        self.until += seconds
        self._up_at += seconds

    def may_send(self, now: float, in_flight: int) -> bool:
        """Whether a request may go out. In half_open only one at a time."""
        if self.state is State.open and now >= self.until:
            self._move(Sign.time_up)
        if self.state is State.half_open:
            return in_flight == 0
        return self.state is State.closed

    def _move(self, sign: Sign) -> bool:
        state = TRANSITIONS[self.state].get(sign, self.state)
        moved, self.state = state is not self.state, state
        return moved
