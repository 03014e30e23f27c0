"""
The whole story of one event: what arrived, what we found out about it, and what became of it at each destination, in
words and with the fix. Pure: whoever asks brings the facts (milonga.cli.facts). The JSON shape is in docs/explain.md.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from milonga.destinations.contract import Destination, Form, Json, Request, Skip
from milonga.eventlog.api import Stored
from milonga.outcomes.files import Attempt
from milonga.outcomes.model import Outcome, State
from milonga.spec.read import read_stamped
from milonga.workspace.model import DestinationConfig, DestinationState

DELIVERED: Final = "The destination answered that it has it."
WORDS: Final = {
    "destination_off": (
        "The destination was switched off while the event waited.",
        "Switch it on; events from before that come only by a replay.",
    ),
    "too_old": (
        "It could not be delivered within the maximum age, and Totango dates what arrives by its arrival.",
        "Look at the attempts for what stood in the way.",
    ),
    "log_trimmed": (
        "Its bytes had left the log before it could be delivered.",
        "Keep the log longer, or look for what held the destination up.",
    ),
    "damaged_record": (
        "Its record in the log is damaged; nothing of it was sent.",
        "Check the disk. Everything else is delivered as ever.",
    ),
}
"""Why and what to do, for the codes that come from the pipeline itself rather than from a destination."""


class Standing(Struct, frozen=True, kw_only=True):
    """
    What is known of one event at one destination.

    settings   those of the outcome's version, or those now in force; secrets in them are stood for by ***
    outcomes   newest first
    tries      oldest first; only of what failed at least once
    waits      a reason in words why it has no outcome yet; "" if it has one, or never will
    never      a reason in words why it will never have one; ""
    retrying   True if it was tried and will be tried again
    next_at    unix milliseconds of the next try, if known
    attempts, code, reason  of the tries so far, without an outcome
    """

    config: DestinationConfig
    kind: Destination
    settings: Struct
    outcomes: Sequence[Outcome] = ()
    tries: Sequence[Attempt] = ()
    waits: str = ""
    never: str = ""
    retrying: bool = False
    next_at: int | None = None
    attempts: int = 0
    code: str = ""
    reason: str = ""


def story(stored: Stored, source: str, standings: Sequence[Standing]) -> dict[str, Any]:
    """source  its name"""
    stamp = stored.event.stamp
    event = read_stamped(stored.event)
    account = None
    if event.account is not None:
        account = {"id": event.account.id, "found": event.account.found}
    return {
        "messageId": stamp.message_id,
        "type": stamp.type,
        "source": source,
        "position": {"partition": stored.position.partition, "offset": stored.position.offset},
        "receivedAt": instant(stamp.received_at),
        "timestamp": instant(stamp.timestamp),
        "originalTimestamp": stamp.original_timestamp,
        "userId": event.user_id,
        "anonymousId": event.anonymous_id,
        "account": account,
        "event": event.received,
        "destinations": [_at(stored, standing) for standing in standings],
    }


def _at(stored: Stored, standing: Standing) -> dict[str, Any]:
    config = standing.config
    newest = standing.outcomes[0] if standing.outcomes else None
    decided = standing.kind.translate(read_stamped(stored.event), standing.settings)
    about: dict[str, Any] = {"destination": config.name, "kind": config.kind, "is": config.state.value}
    if standing.never:
        return about | {"state": "never", "code": "", "why": standing.never, "fix": ""}
    if newest is None or standing.waits:
        about |= {
            "state": "retrying" if standing.retrying else "waiting",
            "code": standing.code,
            "why": standing.reason or standing.waits,
            "fix": _fix_of_state(config),
            "attempts": standing.attempts,
            "nextTry": None if standing.next_at is None else instant(standing.next_at),
        }
    else:
        why, fix = _why(newest, decided, standing)
        about |= {
            "state": newest.state.name,
            "code": newest.code,
            "why": why,
            "fix": fix,
            "attempts": newest.attempts,
            "perhapsMoreThanOnce": newest.perhaps,
            "endedAt": instant(newest.ended_at),
            "tookMs": newest.ended_at - newest.received_at,
            "settingsVersion": newest.settings_version,
        }
    about["requests"] = [] if isinstance(decided, Skip) else [shown(request) for request in decided]
    about["tries"] = [_try(attempt) for attempt in standing.tries]
    about["before"] = [
        {"state": old.state.name, "code": old.code, "endedAt": instant(old.ended_at)} for old in standing.outcomes[1:]
    ]
    return about


def _why(outcome: Outcome, decided: Any, standing: Standing) -> tuple[str, str]:
    if outcome.code in WORDS:
        return WORDS[outcome.code]
    match outcome.state:
        case State.delivered if outcome.perhaps:
            return f"{DELIVERED} An earlier try was cut off after it was written: it may be there more than once.", ""
        case State.delivered:
            return DELIVERED, ""
        case State.skipped:
            fix = decided.fix if isinstance(decided, Skip) and decided.code == outcome.code else ""
            return f"Not sent: {outcome.code}.", fix
        case State.dead:
            last = standing.tries[-1].reason if standing.tries else standing.reason
            return (
                last or f"Refused: {outcome.code}.",
                "See `milonga dead list`: mend the cause, then resend or discard.",
            )
        case _:
            return outcome.code, ""


def _fix_of_state(config: DestinationConfig) -> str:
    if config.state is not DestinationState.paused:
        return ""
    change = config.changes[-1]
    if change.by == "settings":
        return f"The destination is paused: {change.reason} Mend it with `milonga destinations set {config.name} ...`."
    return f"The destination is paused: `milonga destinations resume {config.name}` lets it go on."


def _try(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": instant(attempt.at),
        "part": attempt.part,
        "code": attempt.code or "delivered",
        "reason": attempt.reason,
        "status": attempt.status,
        "ms": attempt.ms,
        "perhapsDelivered": attempt.perhaps,
        "answer": attempt.answer.decode(errors="replace"),
    }


def shown(request: Request) -> dict[str, Any]:
    """A request for people: what is secret stands as ***."""
    match request.body:
        case Form(params):
            body: Any = {name: "***" if name in request.secrets else value for name, value in params.items()}
        case Json(value):
            body = value
    headers = {name: "***" if name in request.secrets else value for name, value in request.headers.items()}
    return {"part": request.part, "method": request.method, "url": request.url, "headers": headers, "body": body}


def instant(unix_ms: int) -> str:
    """`2024-03-05T14:22:07.123Z`"""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
