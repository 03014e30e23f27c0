"""`milonga sources keys`: the write keys of a source, and how senders are changed over to a new one without a gap."""

from typing import Annotated, Any

import typer

from milonga.cli.common import DATA, IN_FORCE, DataOption, JsonOption, YesOption, ask
from milonga.cli.reaching import reached, say
from milonga.cli.terminal import print_json, print_table
from milonga.facts.keys import UNITS, in_words, span

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
    with reached(data) as milonga:
        answer = milonga.ask("listWriteKeys", {"source": name})
    if json:
        print_json(answer.data)
    else:
        print_table(
            ("write key", "added", "end", "last used"),
            [(one["writeKey"], one["createdAt"] or "-", _end(one), one["usedAt"] or "-") for one in answer.data],
        )
    say(answer)


@app.command("add")
def add(name: Name, write_key: NewKey = None, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Add a write key. The ones there are stay in force."""
    with reached(data) as milonga:
        key = milonga.ask("createWriteKey", {"source": name}, body={"writeKey": write_key}).data["writeKey"]
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
    with reached(data) as milonga:
        if not overlap:
            milonga.ask("getSource", {"source": name})
            ask(f"End the write keys of {name} now? What still sends with them is refused.", yes=yes, for_good=True)
        body = {"overlap": _span(overlap), "old": old, "writeKey": write_key}
        done = milonga.ask("rotateWriteKeys", {"source": name}, body=body).data
    if json:
        print_json(done)
        return
    typer.echo(f"Source {name} has a new write key: {done['writeKey']}")
    for one in done["ends"]:
        when = f"ends {one['endsAt']}, in {in_words(overlap)}" if overlap else "has ended"
        typer.echo(f"{one['writeKey']} {when}.")
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
    with reached(data) as milonga:
        if not never and not after:
            milonga.ask("getSource", {"source": name})
            ask(f"End this write key of {name} now? What still sends with it is refused.", yes=yes)
        body = {"endsIn": None if never else _span(after)}
        found = milonga.ask("updateWriteKey", {"source": name, "key": key}, body=body).data
    if json:
        print_json(found)
        return
    typer.echo(f"Write key {key} of {name} {_end(found)}. {IN_FORCE}")


@app.command("remove")
def remove(name: Name, key: Key, data: DataOption = DATA, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a write key: it lets nobody in any more."""
    with reached(data) as milonga:
        if any(one["writeKey"] == key for one in milonga.ask("listWriteKeys", {"source": name}).data):
            ask(f"Remove this write key of {name}? What still sends with it is refused.", yes=yes, for_good=True)
        milonga.ask("removeWriteKey", {"source": name, "key": key})
    if json:
        print_json({"source": name, "removed": key})
        return
    typer.echo(f"Removed the write key of {name}. Calls with it are refused. {IN_FORCE}")


def _span(milliseconds: int) -> str:
    """As the API reads it: in the largest unit that says it whole."""
    unit = next(unit for unit in ("d", "h", "m") if milliseconds % UNITS[unit] == 0)
    return f"{milliseconds // UNITS[unit]}{unit}"


def _end(row: dict[str, Any]) -> str:
    """As milonga.facts.keys.end_of has it."""
    if row["endsAt"] is None:
        return "never ends"
    return f"{'ends' if row['inForce'] else 'ended'} {row['endsAt']}"
