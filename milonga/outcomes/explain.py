"""
The whole story of one event: what arrived, what we found out about it, and what became of it at each destination, in
words and with the fix. Pure: whoever asks brings the facts (milonga.facts.facts). The JSON shape is in docs/explain.md.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct, UnsetType
from msgspec.structs import replace

from milonga.destinations import signing
from milonga.destinations.contract import Destination, Form, Json, Request, Requests, Skip
from milonga.destinations.deciding import as_replayed
from milonga.destinations.http import shown_address
from milonga.eventlog.api import Stored
from milonga.filters.gate import OPEN, Gate
from milonga.outcomes.model import Attempt, Outcome, State
from milonga.outcomes.rules import Applied, apply
from milonga.outcomes.waiting import Behind, Waits, causes
from milonga.outcomes.where import Place, as_json, place_of
from milonga.outcomes.words import PIPELINE, instant, named, sentence, typed, why_skipped
from milonga.spec.event import Account, Event, Page, Screen, Track
from milonga.spec.read import read_stamped, said_for_all
from milonga.spec.stored import Stamp, Stamped
from milonga.workspace.model import DestinationConfig, DestinationState

REMOVED: Final = "removed"
DELIVERED: Final = "The destination answered that it has it."
DEAD_REMOVED: Final = "Its dead letter went with the destination when it was removed."
DEAD_GONE: Final = "Its dead letter was discarded since."
DEAD_KEPT: Final = "Mend the cause, then `milonga dead resend {id}`, or `milonga dead discard {id}`."


class Edit(Struct, frozen=True):
    """
    A dead letter that somebody mended.

    at     unix milliseconds: when that was sent on its way
    by     who asked for it
    event  what was sent instead
    """

    at: int
    by: str
    event: Stamped


class Filed(Struct, frozen=True):
    """Under which account a replay sent an event that names none: the one that its user's group calls name."""

    replay: int
    account: str


class Standing(Struct, frozen=True, kw_only=True):
    """
    What is known of one event at one destination.

    kind        None if this Milonga does not have it any more
    settings    those of the outcome's version, or those now in force; secrets in them are stood for by ***
    gate        of the delivery settings of the same version
    removed_at  unix milliseconds; None if the destination is there
    outcomes    newest first
    tries       oldest first; only of what failed at least once
    waits       what it waits for; None if it does not
    never       a reason in words why it will never have an outcome; ""
    lost        a reason in words why its outcome is not known any more, or was never written; ""
    attempts, reason  of the tries so far, without an outcome
    letter      whether its dead letter is still there; reason: the letter's
    edit        what stands in its place here, as far as that is what waits or ended; None if it went as it arrived
    filed       likewise, of an account that it does not name itself
    """

    config: DestinationConfig
    kind: Destination | None
    settings: Struct
    gate: Gate = OPEN
    removed_at: int | None = None
    outcomes: Sequence[Outcome] = ()
    tries: Sequence[Attempt] = ()
    waits: Waits | None = None
    never: str = ""
    lost: str = ""
    attempts: int = 0
    reason: str = ""
    letter: bool = False
    edit: Edit | None = None
    filed: Filed | None = None


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
        "name": name_of(event),
        "source": source,
        "position": {"partition": stored.position.partition, "offset": stored.position.offset},
        "receivedAt": instant(stamp.received_at),
        "timestamp": instant(stamp.timestamp),
        "originalTimestamp": stamp.original_timestamp,
        "userId": event.user_id,
        "anonymousId": event.anonymous_id,
        "account": account,
        "erased": _erased(stamp),
        "event": event.received,
        "batch": said_for_all(stamp),
        "destinations": [_at(event, standing) for standing in standings],
    }


def _erased(stamp: Stamp) -> dict[str, Any] | None:
    """When, and by which regulation; then there is nothing else to tell."""
    if isinstance(stamp.erased_at, UnsetType):
        return None
    return {"at": instant(stamp.erased_at), "regulation": stamp.erased_by}


def name_of(event: Event) -> str | None:
    """What a track, page or screen call is called."""
    match event.call:
        case Track(name=name) | Page(name=name) | Screen(name=name):
            return name
        case _:
            return None


def _at(event: Event, standing: Standing) -> dict[str, Any]:
    config = standing.config
    about: dict[str, Any] = {
        "destination": config.name,
        "id": config.id,
        "kind": config.kind,
        "is": config.state.value if standing.removed_at is None else REMOVED,
        "removedAt": None if standing.removed_at is None else instant(standing.removed_at),
    }
    newest = standing.outcomes[0] if standing.outcomes else None
    if standing.never:
        return about | {"state": "never", "code": "", "why": standing.never, "fix": ""}
    if standing.edit is not None:
        event = read_stamped(standing.edit.event)
        about["edited"] = _edited(standing.edit, event)
    elif standing.filed is not None:
        account = Account(standing.filed.account, "earlier group call")
        event = replace(event, account=account)
        about["filed"] = {"account": account.id, "found": account.found, "replay": standing.filed.replay}
    applied = _NOTHING if not event.received else _applied(event, standing)
    decided = applied.result
    if standing.waits is not None:
        about |= _unfinished(standing, standing.waits)
    elif newest is not None:
        about |= _finished(event, newest, decided, standing)
    elif standing.removed_at is not None:
        about |= {"state": "skipped", "code": "destination_removed", "why": standing.lost, "fix": ""}
    else:
        about |= {"state": "unknown", "code": "", "why": standing.lost, "fix": ""}
    about["rules"] = applied.as_json()
    about["requests"] = [] if isinstance(decided, Skip) else [shown(request) for request in decided or ()]
    batch = None if standing.kind is None else standing.kind.batch
    about["inBatchesOf"] = None if batch is None else batch.events
    about["tries"] = [_try(attempt) for attempt in standing.tries]
    before = standing.outcomes if standing.waits is not None else standing.outcomes[1:]
    about["before"] = [_before(old) for old in before]
    return about


def _edited(edit: Edit, event: Event) -> dict[str, Any]:
    return {"at": instant(edit.at), "by": edit.by, "event": event.received}


def _before(old: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = {"state": old.state.name, "code": old.code, "endedAt": instant(old.ended_at)}
    return told | ({"replay": old.replay} if old.replay else {})


_NOTHING: Final = Applied([], None)


def _applied(event: Event, standing: Standing) -> Applied:
    """What the rules make of it. A translation that fails must not keep the rest of the story from being told."""
    if standing.kind is None:
        return _NOTHING
    if standing.outcomes and standing.outcomes[0].replay and standing.waits is None:
        event = as_replayed(standing.kind, event)
    return apply(standing.kind, event, standing.settings, standing.gate)


def _unfinished(standing: Standing, waits: Waits) -> dict[str, Any]:
    found = causes(waits)
    why = [cause.why for cause in found]
    failure = waits.reason or waits.code
    if failure and not any(failure.rstrip(".") in said for said in why):
        why.insert(0, f"The last try failed: {sentence(failure)}")
    return {
        "state": State.retrying.name if waits.code else State.waiting.name,
        "code": waits.code,
        "why": " ".join(dict.fromkeys(why)),
        "fix": next((cause.fix for cause in found if cause.fix), ""),
        "fixAt": as_json(_mended_at(waits)),
        "attempts": standing.attempts,
        "waitsFor": [cause.name for cause in found],
        "behind": None if waits.behind is None else _behind(waits.behind),
        "nextTry": None if waits.next_at is None else instant(waits.next_at),
        "overdue": waits.overdue,
    }


def _mended_at(waits: Waits) -> Place | None:
    """Where a person can do something about the wait."""
    if waits.ends_off or waits.change.state is not DestinationState.paused:
        return None
    return ("settings", "") if waits.change.by == "settings" else ("destination", "")


def _behind(behind: Behind) -> dict[str, Any]:
    return {
        "messageId": behind.message_id,
        "offset": behind.offset,
        "code": behind.code,
        "nextTry": None if behind.next_at is None else instant(behind.next_at),
    }


def _finished(event: Event, newest: Outcome, decided: Requests | Skip | None, standing: Standing) -> dict[str, Any]:
    why, fix = _why(event, newest, decided, standing)
    return {
        "state": newest.state.name,
        "code": newest.code,
        "why": why,
        "fix": fix,
        "fixAt": as_json(_fixed_at(newest, standing)),
        "attempts": newest.attempts,
        "perhapsMoreThanOnce": newest.perhaps,
        "endedAt": instant(newest.ended_at),
        "tookMs": newest.ended_at - newest.received_at,
        "settingsVersion": newest.settings_version,
        "replay": newest.replay or None,
    }


def _fixed_at(outcome: Outcome, standing: Standing) -> Place | None:
    if standing.removed_at is not None:
        return None
    if outcome.state is State.dead:
        return ("problems", "") if standing.letter else None
    return place_of(outcome.code)


def _why(event: Event, outcome: Outcome, decided: Requests | Skip | None, standing: Standing) -> tuple[str, str]:
    if outcome.code in PIPELINE:
        return PIPELINE[outcome.code]
    match outcome.state:
        case State.delivered if outcome.perhaps:
            return f"{DELIVERED} An earlier try was cut off after it was written: it may be there more than once.", ""
        case State.delivered:
            return DELIVERED, ""
        case State.skipped:
            fix = decided.fix if isinstance(decided, Skip) and decided.code == outcome.code else ""
            return why_skipped(outcome.code), named(fix, standing.config.name)
        case State.dead:
            last = standing.reason or (standing.tries[-1].reason if standing.tries else "")
            return f"Refused for good: {sentence(last or outcome.code)}", _fix_of_dead(event, standing)
        case _:
            return outcome.code, ""


def _fix_of_dead(event: Event, standing: Standing) -> str:
    if standing.letter:
        return DEAD_KEPT.format(id=typed(event.message_id or ""))
    return DEAD_GONE if standing.removed_at is None else DEAD_REMOVED


def _try(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": instant(attempt.at),
        "part": attempt.part,
        "code": attempt.code or "delivered",
        "reason": attempt.reason,
        "status": attempt.status,
        "ms": attempt.ms,
        "perhapsDelivered": attempt.perhaps,
        "batch": attempt.batch,
        "answer": attempt.said,
    }


def shown(request: Request) -> dict[str, Any]:
    """A request for people: what is secret stands as ***."""
    match request.body:
        case Form(params):
            format_, body = "form", {n: "***" if n in request.secrets else value for n, value in params.items()}
        case Json(value):
            format_, body = "json", value
    headers = {name: "***" if name in request.secrets else value for name, value in request.headers.items()}
    headers |= signing.shown(request.sign)
    return {
        "part": request.part,
        "method": request.method,
        "url": shown_address(request.url),
        "headers": headers,
        "format": format_,
        "body": body,
    }
