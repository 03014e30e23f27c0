"""`milonga audit`: who changed what, from which value to which."""

from typing import Annotated, Any

import msgspec
import typer

from milonga.api.client import rows
from milonga.cli.common import DATA, DataOption, JsonOption
from milonga.cli.reaching import nothing_there, reached
from milonga.cli.terminal import Column, print_json, print_table

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
    if nothing_there(data, json=json):
        return
    with reached(data) as milonga:
        found = rows(milonga, "listAudit", {"by": by, "what": what, "name": name}, limit).data
    if json:
        print_json(found)
    elif found:
        print_table(COLUMNS, [_cells(entry) for entry in found])
    else:
        typer.echo("Nothing was changed." if not (by or what or name) else "Nothing like that was changed.")


def _cells(entry: dict[str, Any]) -> list[str]:
    changes = [f"{field}: {_change(one['before'], one['after'])}" for field, one in entry["changes"].items()]
    return [entry["at"], entry["by"], entry["what"], entry["name"] or "-", ", ".join(changes) or "-"]


def _change(before: object, after: object) -> str:
    if before is None:
        return _text(after)
    return f"{_text(before)} → {'removed' if after is None else _text(after)}"


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else msgspec.json.encode(value).decode()
