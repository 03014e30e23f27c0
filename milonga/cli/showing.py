"""What is told of a destination: how it stands, its settings, its history; as JSON and in tables."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import typer

from milonga.cli.terminal import Column, clean, print_table
from milonga.facts.destinations import failure, notes

WIDTH: Final = 100  #: characters of a line of help
LONGEST: Final = 40  #: characters of a value in the history

Settings: TypeAlias = Sequence[Mapping[str, Any]]
"""As the catalog declares them (milonga.facts.destinations.declared)."""


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


def print_details(one: Mapping[str, Any], settings: Settings) -> None:
    """settings  of its kind, and of delivery"""
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
        if hour["p50Ms"] is not None:
            typer.echo(
                f"delivered within the last hour {hour['delivered']:,}, after {hour['p50Ms']:,g} ms (half of them) "
                f"and {hour['p99Ms']:,g} ms (99 of 100), about"
            )
        typer.echo(clean(f"last failure {failure(one)}"))
    for said in notes(one):
        if said.rstrip(".") != one["reason"].rstrip(".") and not said.startswith("Last failure"):
            typer.echo(clean(said))
    if one["settings"]:
        typer.echo(
            f"\nSettings, version {one['settingsVersion']} (what they mean: milonga destinations kinds {one['kind']})"
        )
        _print_settings([field for field in settings if field["group"] == "settings"], one["settings"])
    typer.echo("\nDelivery settings")
    _print_settings([field for field in settings if field["group"] == "delivery"], one["delivery"])
    typer.echo("\nHistory")
    print_table(("when", "by", "what"), [(entry["at"], entry["by"], _event(entry)) for entry in one["history"]])


def _print_settings(fields: Settings, values: Mapping[str, Any]) -> None:
    rows = [(field["name"], _listed(values[field["name"]]), _listed(field["default"])) for field in fields]
    print_table(("setting", "value", "default"), rows)


def _listed(value: object) -> str:
    """Of a list what its items are called: more would not fit into a table."""
    if not isinstance(value, list | tuple):
        return text(value)
    return ", ".join(str(item.get("name")) if isinstance(item, Mapping) else str(item) for item in value)


def _event(entry: Mapping[str, Any]) -> str:
    if entry["what"] == "state":
        return f"{entry['state']}{because(entry['reason'])}"
    return f"settings version {entry['version']}: {', '.join(map(_change, entry['changes'])) or 'all defaults'}"


def _change(one: Mapping[str, Any]) -> str:
    """`copies 2 -> 5`"""
    before, after = (clean(_listed(one[when])) or "empty" for when in ("before", "after"))
    return f"{one['name']} {_cut(before)} -> {_cut(after)}"


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


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


def print_kind(fields: Settings) -> None:
    """Every setting with its help."""
    for number, field in enumerate(fields):
        if number:
            typer.echo("")
        marks = [field["type"], *(["required"] if field["required"] else []), *(["secret"] if field["secret"] else [])]
        typer.echo(f"{field['name']}: {field['label']} ({', '.join(marks)})")
        typer.echo(f"  default: {text(field['default']) or 'empty'}")
        for line in textwrap.wrap(field["help"], WIDTH, break_long_words=False, break_on_hyphens=False):
            typer.echo(f"  {line}")
