"""What is told of a destination: how it stands, its settings, its history. The shapes are in docs/operate.md."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from milonga.delivery.forecast import Forecast
from milonga.delivery.rows import Health
from milonga.facts.facts import Facts, NoSettings, Place
from milonga.facts.history import history
from milonga.outcomes.latency import Latencies
from milonga.outcomes.model import State
from milonga.outcomes.words import instant
from milonga.workspace.errors import NotThere
from milonga.workspace.fields import Field, fields_of
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.settings import missing, shown
from milonga.workspace.store import Workspace

REMOVED: Final = "removed"
ENDS: Final = (State.delivered, State.skipped, State.dead, State.expired)


def place_called(facts: Facts, name: str) -> Place:
    """There, or else the one removed last, or one by its id."""
    there = [place for place in facts.places if place.config.name == name]
    there.sort(key=lambda place: (place.removed_at is None, place.removed_at or 0))
    if there:
        return there[-1]
    found = next((place for place in facts.places if str(place.config.id) == name), None)
    if found is None:
        raise NotThere(f"There is no destination {name}. See `milonga destinations list --all`.")
    return found


def masked(workspace: Workspace, config: DestinationConfig) -> Struct:
    """With *** for secrets, also for those that cannot be read now."""
    return workspace.settings_at(config.id, config.settings_version)


def lacks(workspace: Workspace, config: DestinationConfig) -> tuple[Field, ...]:
    """Required settings that are empty. What only looks filled counts as empty too."""
    settings = masked(workspace, config)
    blank = [
        field
        for field in fields_of(type(settings))
        if field.required and not str(getattr(settings, field.attribute) or "").strip()
    ]
    return tuple(dict.fromkeys((*missing(settings), *blank)))


def as_row(facts: Facts, place: Place) -> dict[str, Any]:
    """A row of `destinations list --json`. The shape is in docs/operate.md."""
    config, removed = place.config, place.removed_at is not None
    now = config.changes[-1]
    return {
        "id": config.id,
        "name": config.name,
        "kind": config.kind,
        "source": facts.source(config.source),
        "state": REMOVED if removed else now.state.value,
        "since": instant(now.at if place.removed_at is None else place.removed_at),
        "by": now.by,
        "reason": now.reason,
        "missing": [] if removed else [field.name for field in lacks(facts.workspace, config)],
        "settingsVersion": config.settings_version,
        "removedAt": None if place.removed_at is None else instant(place.removed_at),
        "serverRunning": facts.server_runs,
        "deadLetters": 0 if removed or facts.delivery is None else facts.delivery.dead_count(config.id),
        **_health(None if removed else facts.health(config.id)),
        "drain": None if removed else _drain(facts.forecast(config)),
    }


def _drain(found: Forecast | None) -> dict[str, Any] | None:
    """When what waits will be gone, if the last minutes go on."""
    if found is None:
        return None
    seconds = None if found.seconds is None else round(found.seconds, 1)
    return {"is": found.way, "seconds": seconds, "says": found.words}


def _health(health: Health | None) -> dict[str, Any]:
    """As of `asOf`; nulls if delivery never ran."""
    known = health or Health(at=0)
    failure = None
    if known.last_failure_at is not None:
        failure = {
            "at": instant(known.last_failure_at),
            "code": known.last_failure_code,
            "reason": known.last_failure_reason,
        }
    return {
        "waiting": None if health is None else known.waiting,
        "oldestWaitingAt": _instant(known.oldest_waiting_at),
        "lastDeliveredAt": _instant(known.last_delivered_at),
        "lastFailure": failure,
        "breaker": None if health is None else known.breaker,
        "breakerUntil": _instant(known.breaker_until),
        "asOf": None if health is None else instant(health.at),
    }


def _instant(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else instant(milliseconds)


def _last_hour(facts: Facts, number: int) -> dict[str, Any]:
    """From counters alone: how many ended in which way, and how long after their arrival the delivered ones."""
    ended, took = facts.last_hour()
    mine = took.get(number, Latencies({}))
    counts = {state.name: ended.get((number, state), 0) for state in ENDS}
    return {**counts, "p50Ms": _rounded(mine.percentile(0.5)), "p99Ms": _rounded(mine.percentile(0.99))}


def _in_force(facts: Facts, config: DestinationConfig) -> dict[str, Any] | None:
    """What a running delivery goes by; None if none has said so."""
    found = None if facts.delivery is None or not facts.server_runs else facts.delivery.in_force(config.id)
    if found is None:
        return None
    return {
        "settings": found.settings_version >= config.settings_version,
        "state": found.state_at >= config.changes[-1].at,
        "since": instant(found.at),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def details(facts: Facts, place: Place) -> dict[str, Any]:
    config = place.config
    gone = isinstance(config.settings, NoSettings)
    return {
        **as_row(facts, place),
        "lastHour": _last_hour(facts, config.id),
        "inForce": None if place.removed_at is not None else _in_force(facts, config),
        "settings": {} if gone else shown(masked(facts.workspace, config)),
        "delivery": shown(config.delivery),
        "history": history(facts.workspace, config.id),
    }


def notes(one: Mapping[str, Any]) -> list[str]:
    """What a person should know of how it stands. Sentences."""
    said = []
    if one["missing"]:
        said.append(f"Needs {', '.join(one['missing'])} before it can send.")
    if one["state"] == DestinationState.paused.value and one["reason"]:
        said.append(one["reason"].rstrip(".") + ".")
    if one["breaker"] == "open" and one["state"] == DestinationState.on.value:
        said.append(f"Does not answer as it should: nothing is sent until {one['breakerUntil']}.")
    if one["breaker"] == "half_open" and one["state"] == DestinationState.on.value:
        said.append("Did not answer as it should: one request is out to see whether it is back.")
    last = one["lastFailure"]
    if last is not None and last["at"] > (one["lastDeliveredAt"] or ""):
        again = any(last["reason"].rstrip(".") + "." == before for before in said)
        said.append(f"Last failure {last['at']}: {last['code']}." if again else f"Last failure {failure(one)}.")
    return said


def failure(one: Mapping[str, Any]) -> str:
    """The last one, in words."""
    last = one["lastFailure"]
    return "-" if last is None else f"{last['at']}: {last['code']}, {last['reason'].rstrip('.')}"


def declared(field: Field, group: str) -> dict[str, Any]:
    """group  "settings": the kind's own; "delivery": of every destination"""
    return {
        "name": field.name,
        "group": group,
        "label": field.label,
        "help": field.help,
        "type": field.kind,
        "default": msgspec.to_builtins(field.default),
        "secret": field.secret,
        "required": field.required,
    }
