"""What an answer, or the lack of one, means. Pure."""

from typing import Any

from milonga.delivery.outgoing import NoAnswer, Reply
from milonga.destinations.contract import BadSettings, Delivered, Destination, Ending, TryAgain
from milonga.eventlog.api import Position
from milonga.outcomes.files import Attempt

SETTINGS_FAULTS = frozenset({"forbidden_address", "bad_url"})  #: of NoAnswer codes: no event could get through


def judged(reply: Reply, kind: Destination, now: float) -> Ending:
    """How a request ended. `now` in unix seconds, for answers that name a date."""
    if not isinstance(reply, NoAnswer):
        try:
            return kind.judge(reply, now)
        except Exception as error:
            return TryAgain("judge_failed", f"{type(error).__name__} while reading the answer: please report this.")
    if reply.code in SETTINGS_FAULTS:
        return BadSettings(reply.code, reply.reason)
    return TryAgain(reply.code, reply.reason)


def attempt_row(
    destination: int, position: Position, part: str, reply: Reply, ending: Ending, at: int, seconds: float
) -> Attempt:
    """The row to keep of it. `at` in unix milliseconds."""
    code, reason = ("", "") if isinstance(ending, Delivered) else (ending.code, ending.reason)
    return Attempt(
        destination=destination,
        position=position,
        at=at,
        part=part,
        code=code,
        reason=reason,
        status=None if isinstance(reply, NoAnswer) else reply.status,
        ms=round(seconds * 1000),
        perhaps=isinstance(reply, NoAnswer) and reply.perhaps,
        answer=b"" if isinstance(reply, NoAnswer) else reply.body[:1000],
    )


def told(attempt: Attempt) -> dict[str, Any]:
    """The same for one wide log line. An answer's body stays out: it may repeat what was sent."""
    return {
        "offset": attempt.position.offset,
        "part": attempt.part,
        "code": attempt.code or "delivered",
        "status": attempt.status,
        "ms": attempt.ms,
        "perhaps": attempt.perhaps,
    }
