"""`milonga audit`: who changed what, from which value to which."""

from typing import Annotated, Any

import msgspec
import typer

from milonga.cli.common import DATA, DataOption, JsonOption, nothing_yet, opened
from milonga.cli.terminal import Column, print_json, print_table
from milonga.outcomes.words import instant
from milonga.workspace.audit import Entry

COLUMNS = (Column("at", time=True), Column("by"), Column("what"), Column("name", least=8), Column("changes", least=24))


def audit(
    by: Annotated[str, typer.Option("--by", metavar="WHO", help="cli, user:NAME, token:NAME, settings, probe.")] = "",
    what: Annotated[
        str, typer.Option("--what", metavar="WHAT", help="Such as destination, or destination.settings.")
    ] = "",
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Of the source, destination, user, ...")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000)] = 50,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List who changed what, the newest first. Kept for 400 days; secrets stand as ***."""
    if nothing_yet(data):
        if json:
            print_json([])
        return
    with opened(data) as workspace:
        found = workspace.audit.page(limit, by=by, what=what, name=name)
    if json:
        print_json([as_json(entry) for entry in found])
    elif found:
        print_table(COLUMNS, [_cells(entry) for entry in found])
    else:
        typer.echo("Nothing was changed." if not (by or what or name) else "Nothing like that was changed.")


def as_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": instant(entry.at),
        "by": entry.by,
        "what": entry.what,
        "name": entry.name,
        "changes": {field: {"before": before, "after": after} for field, (before, after) in entry.changes.items()},
    }


def _cells(entry: Entry) -> list[str]:
    changes = [f"{field}: {_change(before, after)}" for field, (before, after) in entry.changes.items()]
    return [instant(entry.at), entry.by, entry.what, entry.name or "-", ", ".join(changes) or "-"]


def _change(before: object, after: object) -> str:
    if before is None:
        return _text(after)
    return f"{_text(before)} → {'removed' if after is None else _text(after)}"


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else msgspec.json.encode(value).decode()
