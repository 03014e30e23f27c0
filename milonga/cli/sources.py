"""`milonga sources`: the places that send events, and their write keys."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from milonga.cli.common import DATA, IN_FORCE, DataOption, JsonOption, YesOption, ask, nothing_yet, opened
from milonga.cli.terminal import print_json, print_table
from milonga.outcomes.words import instant
from milonga.workspace.model import DestinationConfig, Source

app = typer.Typer(no_args_is_help=True, help="Where events come from, and the write keys that let them in.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the source.")]


@app.command()
def add(
    name: Name,
    write_key: Annotated[
        str | None, typer.Option("--write-key", metavar="KEY", help="Use this one instead of a random one.")
    ] = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Add a source. Prints its write key."""
    with opened(data, create=True) as workspace:
        source = workspace.add_source(name, write_key)
    if json:
        print_json(_row(source, ()))
        return
    typer.echo(f"Added source {name}. Its write key: {source.write_keys[0]}")
    typer.echo(IN_FORCE)


@app.command("list")
def list_(data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the sources with their write keys."""
    if nothing_yet(data):
        if json:
            print_json([])
        return
    with opened(data) as workspace:
        destinations = workspace.destinations()
        rows = [_row(source, destinations) for source in workspace.sources()]
    if json:
        print_json(rows)
    elif rows:
        print_table(
            ("name", "write key", "destinations", "added"),
            [
                (one["name"], ", ".join(one["writeKeys"]), ", ".join(one["destinations"]) or "-", one["createdAt"])
                for one in rows
            ],
        )
    else:
        typer.echo("There are no sources. Add one: milonga sources add NAME")


@app.command()
def remove(name: Name, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a source: its write keys let nobody in any more. Events that arrived stay."""
    with opened(data) as workspace:
        source = next((one for one in workspace.sources() if one.name == name), None)
        if source is not None and not any(one.source == source.id for one in workspace.destinations()):
            ask(f"Remove source {name} and its write keys?", yes=yes, for_good=True)
        workspace.remove_source(name)
    if json:
        print_json({"removed": name})
        return
    typer.echo(f"Removed source {name}. Calls with its write keys are refused. {IN_FORCE}")


def _row(source: Source, destinations: Sequence[DestinationConfig]) -> dict[str, Any]:
    return {
        "id": source.id,
        "name": source.name,
        "writeKeys": list(source.write_keys),
        "createdAt": instant(source.created_at),
        "destinations": [one.name for one in destinations if one.source == source.id],
    }
