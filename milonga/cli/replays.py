"""`milonga replays`: what was replayed, how far it is, and to hold or stop it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from milonga.api.client import rows
from milonga.cli.asking import answers
from milonga.cli.common import DATA, DataOption, JsonOption, note
from milonga.cli.options import DestinationOption
from milonga.cli.reaching import reached, say
from milonga.cli.replay import later
from milonga.cli.terminal import Column, clean, many, print_json, print_table
from milonga.delivery.replay_rows import ReplayState

app = typer.Typer(no_args_is_help=True, help="Replays: events sent once more (`milonga replay`).")

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As `milonga replays list` shows it.")]

COLUMNS: Final = (
    Column("replay"),
    Column("destination", least=8),
    Column("state"),
    Column("askedAt", time=True),
    Column("from", time=True, drop=1),
    Column("to", time=True, drop=2),
    Column("left"),
    Column("delivered"),
    Column("others", least=20),
)


@app.command("list")
def list_(
    destination: DestinationOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000)] = 20,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List replays, newest first."""
    with reached(data) as milonga:
        answer = rows(milonga, "listReplays", {"destination": destination}, limit)
    if json:
        print_json(answer.data)
    elif answer.data:
        print_table(COLUMNS, [[_cell(row, column.name) for column in COLUMNS] for row in answer.data])
    else:
        typer.echo("Nothing was replayed.")
    say(answer)


@app.command()
def show(number: Number, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Show what a replay was asked for, how far it is, and what became of its events."""
    with reached(data) as milonga:
        row = milonga.ask("getReplay", {"replay": number}).data
    if json:
        print_json(row)
        return
    for line in _told(row):
        typer.echo(clean(line))


@app.command()
def pause(number: Number, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Hold a replay. What is on its way arrives."""
    _ask(data, number, ReplayState.paused, "held", json=json)


@app.command()
def resume(number: Number, data: DataOption = DATA, json: JsonOption = False) -> None:
    """Let a replay that was held go on."""
    _ask(data, number, ReplayState.running, "going on", json=json)


@app.command()
def stop(number: Number, data: DataOption = DATA, json: JsonOption = False) -> None:
    """End a replay for good. What is on its way arrives."""
    _ask(data, number, ReplayState.stopped, "stopped", json=json)


def _ask(data: Path, number: int, state: ReplayState, what: str, *, json: bool) -> None:
    with reached(data) as milonga:
        asked = milonga.ask("updateReplay", {"replay": number}, body={"state": state.value}).data
        done = answers(milonga, asked["commands"]) is not None
        if json:
            print_json({"replay": number, "asked": state.value, "done": done})
        elif done:
            typer.echo(f"Replay {number} is {what}.")
        if not done:
            note(later(milonga))


def _told(row: dict[str, Any]) -> Iterator[str]:
    """One replay, in words."""
    yield f"replay {row['replay']} to {row['destination']}: {row['state']}{_after(': ', row['reason'])}"
    yield f"asked for {row['askedAt']} by {row['by']}{_after('; ended ', row['endedAt'])}"
    narrowed = ("type", "account", "user", "event", "code")
    only = ", ".join(
        [f"{name} {row[name]}" for name in narrowed if row[name] is not None]
        + ([many(row["chosen"], "chosen event")] if row["chosen"] is not None else [])
    )
    yield f"what arrived from {row['from']} to {row['to']}{_after(', only ', only)}"
    over = "also what newer events have set since" if row["overwrite"] else "nothing newer is overwritten"
    yield f"at most {row['rate']:g} events a second; {over}"
    if row["findAccounts"]:
        yield "what names no account is filed under the one that earlier group calls of its user name"
    if row["left"] and row["endedAt"] is not None:
        yield f"{row['left']:,} were not looked at any more"
    elif row["left"] is not None and row["endedAt"] is None:
        yield f"{row['left']:,} still to be looked at, {row['onTheirWay']:,} on their way"
    if row["gone"]:
        yield f"{row['gone']:,} were gone from the log"
    for outcome in row["outcomes"]:
        yield f"  {_fate(outcome)}: {outcome['events']:,}"
    if row["waitsFor"]:
        yield row["waitsFor"]


def _after(sign: str, text: str | None) -> str:
    return f"{sign}{text}" if text else ""


def _fate(outcome: dict[str, Any]) -> str:
    """`left` is what the replay decided not to send; in a table it would read as what is left to do."""
    state = "not sent" if outcome["state"] == "left" else outcome["state"]
    return f"{state} {outcome['code']}".rstrip()


def _cell(row: dict[str, Any], name: str) -> str:
    if name == "delivered":
        return f"{sum(one['events'] for one in row['outcomes'] if one['state'] == name):,}"
    if name == "others":
        others = [one for one in row["outcomes"] if one["state"] != "delivered"]
        return ", ".join(f"{one['events']:,} {_fate(one)}" for one in others) or "-"
    return "-" if row[name] is None else str(row[name])
