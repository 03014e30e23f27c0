"""`milonga sources`: the places that send events, and their write keys."""

from typing import Annotated

import typer

from milonga.cli.common import (
    DATA,
    IN_FORCE,
    DataOption,
    JsonOption,
    exists,
    note,
    opened,
    print_json,
    print_table,
    when,
)

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
        print_json(source)
        return
    typer.echo(f"Added source {name}. Its write key: {source.write_keys[0]}")
    typer.echo(IN_FORCE)


@app.command("list")
def list_(data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the sources with their write keys."""
    if not exists(data):
        note(f"There is no workspace in {data} yet. Make one with: milonga sources add NAME")
        if json:
            print_json([])
        return
    with opened(data) as workspace:
        sources = workspace.sources()
        destinations = workspace.destinations()
    if json:
        print_json(sources)
        return
    print_table(
        ("name", "write key", "destinations", "added"),
        [
            (
                source.name,
                ", ".join(source.write_keys),
                ", ".join(one.name for one in destinations if one.source == source.id),
                when(source.created_at),
            )
            for source in sources
        ],
    )


@app.command()
def remove(name: Name, data: DataOption = DATA) -> None:
    """Remove a source: its write keys let nobody in any more. Events that arrived stay."""
    with opened(data) as workspace:
        workspace.remove_source(name)
    typer.echo(f"Removed source {name}. Calls with its write keys are refused. {IN_FORCE}")
