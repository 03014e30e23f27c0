"""`milonga sources keys`: the write keys of a source, and how senders are changed over to a new one without a gap."""

from typing import Annotated

import typer

from milonga.cli.common import DATA, IN_FORCE, DataOption, JsonOption, YesOption, ask, note, opened
from milonga.cli.terminal import print_json, print_table
from milonga.facts.keys import as_row, end_of, in_words, key_warnings, span
from milonga.outcomes.words import instant
from milonga.workspace.commands import milliseconds

app = typer.Typer(no_args_is_help=True, help="Write keys: senders are changed over to a new one without a gap.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the source.")]
NewKey = Annotated[str | None, typer.Option("--write-key", metavar="KEY", help="Use this one instead of a random one.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The write key.")]


def a_span(given: str) -> int:
    """Milliseconds; wrong use (exit 2) if it is none."""
    try:
        return span(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command("list")
def list_(name: Name, data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the write keys of a source: since when, until when, and when each was last used."""
    with opened(data) as workspace:
        keys = workspace.write_keys.of(name)
    now = milliseconds()
    if json:
        print_json([as_row(one, now) for one in keys])
    else:
        print_table(
            ("write key", "added", "end", "last used"),
            [(one.key, _at(one.created_at), end_of(one, now), _at(one.used_at)) for one in keys],
        )
    for said in key_warnings(name, keys):
        note(said)


@app.command("add")
def add(name: Name, write_key: NewKey = None, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Add a write key. The ones there are stay in force."""
    with opened(data) as workspace:
        key = workspace.add_key(name, write_key)
    if json:
        print_json({"source": name, "writeKey": key})
        return
    typer.echo(f"Source {name} has a further write key: {key}")
    typer.echo(IN_FORCE)


@app.command("rotate")
def rotate(
    name: Name,
    overlap: Annotated[
        int,
        typer.Option(
            "--overlap", parser=a_span, metavar="TIME", help="The old ones stay in force so long; 0: they end now."
        ),
    ] = "14d",  # type: ignore[assignment]  # the parser makes a number of it
    old: Annotated[
        str | None, typer.Option("--old", metavar="KEY", help="Exchange this one alone; default: all without an end.")
    ] = None,
    write_key: NewKey = None,
    data: DataOption = DATA,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Add a new write key and give the old ones an end, so that senders can be changed over meanwhile."""
    with opened(data) as workspace:
        if not overlap:
            workspace.source(name)
            ask(f"End the write keys of {name} now? What still sends with them is refused.", yes=yes, for_good=True)
        done = workspace.write_keys.rotate(name, write_key, old=old, overlap=overlap)
    if json:
        ends = [{"writeKey": one.key, "endsAt": instant(one.at)} for one in done.ends]
        print_json({"source": name, "writeKey": done.key, "ends": ends})
        return
    typer.echo(f"Source {name} has a new write key: {done.key}")
    for one in done.ends:
        typer.echo(f"{one.key} {f'ends {instant(one.at)}, in {in_words(overlap)}' if overlap else 'has ended'}.")
    typer.echo(IN_FORCE)
    typer.echo(f"Change the senders over: `milonga sources setup {name}`, `milonga sources snippet {name}`.")
    typer.echo(f"`milonga sources keys list {name}` shows whether an old one is still used.")


@app.command("end")
def end(
    name: Name,
    key: Key,
    after: Annotated[
        int, typer.Option("--in", parser=a_span, metavar="TIME", help="So long from now; 0: now.")
    ] = "14d",  # type: ignore[assignment]  # the parser makes a number of it
    never: Annotated[bool, typer.Option("--never", help="It has no end, also if it has ended.")] = False,
    data: DataOption = DATA,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Give a write key an end, another end, or none. What sends with it after its end is refused."""
    with opened(data) as workspace:
        if not never and not after:
            workspace.source(name)
            ask(f"End this write key of {name} now? What still sends with it is refused.", yes=yes)
        found = workspace.write_keys.end(name, key, None if never else after)
    if json:
        print_json({"source": name} | as_row(found, milliseconds()))
        return
    typer.echo(f"Write key {key} of {name} {end_of(found, milliseconds())}. {IN_FORCE}")


@app.command("remove")
def remove(name: Name, key: Key, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a write key: it lets nobody in any more."""
    with opened(data) as workspace:
        if any(one.key == key for one in workspace.write_keys.of(name)):
            ask(f"Remove this write key of {name}? What still sends with it is refused.", yes=yes, for_good=True)
        workspace.remove_key(name, key)
    if json:
        print_json({"source": name, "removed": key})
        return
    typer.echo(f"Removed the write key of {name}. Calls with it are refused. {IN_FORCE}")


def _at(at: int | None) -> str:
    return "-" if at is None else instant(at)
