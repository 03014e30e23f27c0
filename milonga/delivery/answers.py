"""What an answer, or the lack of one, means. Pure."""

from typing import Any

from msgspec.structs import replace

from milonga.delivery.masking import masked, secrets_of
from milonga.delivery.outgoing import NoAnswer, Reply
from milonga.destinations.contract import BadSettings, Delivered, Destination, Ending, Request, TryAgain
from milonga.eventlog.api import Position
from milonga.outcomes.model import MAX_ANSWER, Attempt

SETTINGS_FAULTS = frozenset({"forbidden_address", "bad_url"})  #: of NoAnswer codes: no event could get through


def judged(reply: Reply, kind: Destination, request: Request, now: float) -> Ending:
    """How a request ended, without its secrets. `now` in unix seconds, for answers that name a date."""
    ending = _judged(reply, kind, now)
    if isinstance(ending, Delivered):
        return ending
    return replace(ending, reason=masked(ending.reason.encode(errors="replace"), secrets_of(request)).decode())


def _judged(reply: Reply, kind: Destination, now: float) -> Ending:
    if not isinstance(reply, NoAnswer):
        try:
            return kind.judge(reply, now)
        except Exception as error:
            return TryAgain("judge_failed", f"{type(error).__name__} while reading the answer: please report this.")
    if reply.code in SETTINGS_FAULTS:
        return BadSettings(reply.code, reply.reason)
    return TryAgain(reply.code, reply.reason)


def wordless(reply: Reply, ending: Ending) -> tuple[Reply, Ending]:
    """The same without the receiver's words: they may name somebody who is being deleted."""
    if not isinstance(ending, Delivered):
        ending = replace(ending, reason="The receiver's words were not kept: a user was being deleted.")
    return (reply if isinstance(reply, NoAnswer) else replace(reply, body=b"")), ending


def attempt_row(
    destination: int,
    position: Position,
    request: Request,
    reply: Reply,
    ending: Ending,
    at: int,
    seconds: float,
    batch: int = 1,
) -> Attempt:
    """
    The row to keep of it: a receiver may repeat what it was sent, but for the secrets. `at` in unix milliseconds,
    `batch` as in Attempt.
    """
    code, reason = ("", "") if isinstance(ending, Delivered) else (ending.code, ending.reason)
    return Attempt(
        destination=destination,
        position=position,
        at=at,
        part=request.part,
        code=code,
        reason=reason,
        status=None if isinstance(reply, NoAnswer) else reply.status,
        ms=round(seconds * 1000),
        perhaps=isinstance(reply, NoAnswer) and reply.perhaps,
        answer=b"" if isinstance(reply, NoAnswer) else masked(reply.body, secrets_of(request))[:MAX_ANSWER],
        batch=batch,
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
        "batch": attempt.batch,
    }
