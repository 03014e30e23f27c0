"""What is told of a destination: how it stands, its settings, its history; as JSON and in tables."""

import textwrap
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import typer
from msgspec import Struct

from milonga.cli.facts import Facts, NoSettings, Place
from milonga.cli.terminal import Column, clean, print_table
from milonga.delivery.forecast import Forecast
from milonga.delivery.rows import Health
from milonga.outcomes.latency import Latencies
from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationConfig, DestinationState, StateChange
from milonga.workspace.settings import Field, fields_of, missing, shown
from milonga.workspace.store import Workspace

REMOVED: Final = "removed"
HOUR: Final = 3_600_000  #: milliseconds
WIDTH: Final = 100  #: characters of a line of help


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


def summary(facts: Facts, place: Place) -> dict[str, Any]:
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
    """From counters alone: how many were delivered, and how long after their arrival."""
    took = facts.outcomes.latencies(milliseconds() - HOUR).get(number, Latencies({}))
    return {"delivered": took.total, "p50Ms": _rounded(took.percentile(0.5)), "p99Ms": _rounded(took.percentile(0.99))}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def details(facts: Facts, place: Place) -> dict[str, Any]:
    config = place.config
    gone = isinstance(config.settings, NoSettings)
    return {
        **summary(facts, place),
        "lastHour": _last_hour(facts, config.id),
        "settings": {} if gone else shown(masked(facts.workspace, config)),
        "delivery": shown(config.delivery),
        "history": [
            {
                "at": instant(entry.at),
                "by": entry.by,
                "what": "state",
                "state": entry.state.value,
                "reason": entry.reason,
            }
            if isinstance(entry, StateChange)
            else {
                "at": instant(entry.at),
                "by": entry.by,
                "what": "settings",
                "version": entry.version,
                "changed": list(entry.changed),
            }
            for entry in facts.workspace.history(config.id)
        ],
    }


def print_list(rows: list[dict[str, Any]]) -> None:
    columns = (
        Column("name"),
        Column("kind", drop=5),
        Column("source", least=8, drop=3),
        Column("state"),
        Column("since", time=True, drop=4),
        Column("waiting"),
        Column("oldest waiting", time=True, drop=1),
        Column("gone in"),
        Column("last delivered", time=True, drop=2),
        Column("dead"),
        Column("note"),  # never cut: where it is long, a block for each has it whole
    )
    print_table(
        columns,
        [
            (
                one["name"],
                one["kind"],
                one["source"],
                one["state"],
                one["since"],
                "-" if one["waiting"] is None else f"{one['waiting']:,}",
                one["oldestWaitingAt"] or "-",
                one["drain"]["says"] if one["drain"] is not None and one["waiting"] else "-",
                one["lastDeliveredAt"] or "-",
                f"{one['deadLetters']:,}",
                " ".join(notes(one)) or "-",
            )
            for one in rows
        ],
    )


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
    failure = one["lastFailure"]
    if failure is not None and failure["at"] > (one["lastDeliveredAt"] or ""):
        again = any(failure["reason"].rstrip(".") + "." == before for before in said)
        said.append(f"Last failure {failure['at']}: {failure['code']}." if again else f"Last failure {_failure(one)}.")
    return said


def _failure(one: Mapping[str, Any]) -> str:
    failure = one["lastFailure"]
    return "-" if failure is None else f"{failure['at']}: {failure['code']}, {failure['reason'].rstrip('.')}"


def print_details(one: Mapping[str, Any], settings: Struct) -> None:
    typer.echo(f"{one['name']} ({one['kind']}, id {one['id']}) for source {one['source']}")
    why = because(one["reason"]) if one["reason"] != one["state"] else ""
    typer.echo(f"{one['state']} since {one['since']}, by {one['by']}{why}")
    if one["waiting"] is not None:
        oldest = f", the oldest since {one['oldestWaitingAt']}" if one["oldestWaitingAt"] else ""
        stale = "" if one["serverRunning"] else f" (as of {one['asOf']})"
        typer.echo(f"{one['waiting']:,} waiting{oldest}{stale}; dead letters: {one['deadLetters']:,}")
        if one["waiting"] and one["drain"] is not None:
            typer.echo(f"gone in: {one['drain']['says']}")
        typer.echo(f"last delivered {one['lastDeliveredAt'] or '-'}")
        hour = one["lastHour"]
        if hour["delivered"]:
            typer.echo(
                f"delivered within the last hour {hour['delivered']:,}, after {hour['p50Ms']:,g} ms (half of them) "
                f"and {hour['p99Ms']:,g} ms (99 of 100), about"
            )
        typer.echo(clean(f"last failure {_failure(one)}"))
    for said in notes(one):
        if said.rstrip(".") != one["reason"].rstrip(".") and not said.startswith("Last failure"):
            typer.echo(clean(said))
    if one["settings"]:
        typer.echo(
            f"\nSettings, version {one['settingsVersion']} (what they mean: milonga destinations kinds {one['kind']})"
        )
        _print_settings(fields_of(type(settings)), one["settings"])
    typer.echo("\nDelivery settings")
    _print_settings(fields_of(DeliverySettings), one["delivery"])
    typer.echo("\nHistory")
    print_table(("when", "by", "what"), [(entry["at"], entry["by"], _event(entry)) for entry in one["history"]])


def _print_settings(fields: tuple[Field, ...], values: Mapping[str, Any]) -> None:
    rows = [(field.name, _listed(values[field.name]), _listed(field.default)) for field in fields]
    print_table(("setting", "value", "default"), rows)


def _listed(value: object) -> str:
    """Of a list what its items are called: more would not fit into a table."""
    if not isinstance(value, list | tuple):
        return text(value)
    return ", ".join(str(item.get("name")) if isinstance(item, Mapping) else str(item) for item in value)


def _event(entry: Mapping[str, Any]) -> str:
    if entry["what"] == "state":
        return f"{entry['state']}{because(entry['reason'])}"
    return f"settings version {entry['version']}: {', '.join(entry['changed']) or 'all defaults'}"


def because(reason: str) -> str:
    return f": {clean(reason)}" if reason else ""


def text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.0f}" if value.is_integer() else str(value)
        case None:
            return ""
        case _:
            return msgspec.json.encode(value).decode()


def print_kind(fields: tuple[Field, ...]) -> None:
    """Every setting with its help."""
    for number, field in enumerate(fields):
        if number:
            typer.echo("")
        marks = [field.kind, *(["required"] if field.required else []), *(["secret"] if field.secret else [])]
        typer.echo(f"{field.name}: {field.label} ({', '.join(marks)})")
        typer.echo(f"  default: {text(field.default) or 'empty'}")
        for line in textwrap.wrap(field.help, WIDTH, break_long_words=False, break_on_hyphens=False):
            typer.echo(f"  {line}")


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
