"""How a destination fares: gathered as answers come, written for others at most once a second."""

from msgspec.structs import replace

from milonga.delivery.breaker import Breaker, State
from milonga.delivery.rows import Health


class Vitals:
    """last  the row an earlier process left, if any: what was delivered last is known across a restart."""

    def __init__(self, last: Health | None) -> None:
        self._written = last
        known = last or Health(at=0)
        self._delivered_at = known.last_delivered_at
        self._failure = (known.last_failure_at, known.last_failure_code, known.last_failure_reason)

    def delivered(self, now: float) -> None:
        """A request was. `now` in unix seconds."""
        self._delivered_at = int(now * 1000)

    def failed(self, now: float, code: str, reason: str) -> None:
        """A request was answered otherwise, or not at all."""
        self._failure = (int(now * 1000), code, reason)

    def forget_words(self) -> None:
        """What the receiver said last: it named somebody who is deleted."""
        at, code, _ = self._failure
        self._failure = (at, code, "")

    @property
    def reason(self) -> str:
        """What the receiver said last."""
        return self._failure[2]

    def row(self, now: int, breaker: Breaker, waiting: int, oldest_waiting_at: int | None) -> Health | None:
        """What is to be written; None if nothing changed since this said so last. `now` in unix milliseconds."""
        at, code, reason = self._failure
        health = Health(
            at=now,
            breaker=breaker.state.value,
            breaker_until=int(breaker.until * 1000) if breaker.state is State.open else None,
            last_delivered_at=self._delivered_at,
            last_failure_at=at,
            last_failure_code=code,
            last_failure_reason=reason,
            waiting=waiting,
            oldest_waiting_at=oldest_waiting_at,
        )
        if self._written is not None and replace(self._written, at=now) == health:
            return None
        self._written = health
        return health
