"""`milonga dead`: what destinations refused for good, and what to do with it."""

from collections.abc import Sequence
from typing import Annotated

import typer

from milonga.cli.asking import answers
from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, facts_of, fail, note
from milonga.cli.terminal import Column, clean, many, print_json, print_table
from milonga.delivery.rows import DeadLetter
from milonga.facts.dead import MOST, as_row, count, letters
from milonga.facts.facts import Facts
from milonga.spec.read import read_stamped

app = typer.Typer(no_args_is_help=True, help="Dead letters: events a destination refused for good.")


DestinationOption = Annotated[str | None, typer.Option("--destination", "-d", metavar="NAME", help="Only of this one.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="MESSAGE_ID", help="Message ids; or --all.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]

COLUMNS = (
    Column("diedAt", time=True),
    Column("destination", least=8),
    Column("code"),
    Column("type", drop=4),
    Column("name", least=8, drop=3),
    Column("account", least=8, drop=1),
    Column("user", least=8, drop=2),
    Column("messageId"),
    Column("reason", least=20),
)


@app.command("list")
def list_(
    destination: DestinationOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST)] = 100,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List dead letters, the oldest death first."""
    with facts_of(data) as facts:
        rows = [as_row(facts, letter) for letter in letters(facts, destination, limit)]
        there = count(facts, destination)
    if json:
        print_json(rows)
    elif rows:
        print_table(COLUMNS, [[str(row[column.name] or "-") for column in COLUMNS] for row in rows])
    else:
        typer.echo("There are no dead letters.")
    if there > len(rows):
        note(f"These are {len(rows):,} of {there:,}; --limit for more.")


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID")],
    destination: DestinationOption = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Show a dead letter with its event. Always JSON."""
    with facts_of(data) as facts:
        found = [
            as_row(facts, letter) | {"event": read_stamped(letter.event).received}
            for letter in letters(facts, destination, MOST)
            if letter.event.stamp.message_id == message_id
        ]
    if found or json:
        print_json(found)
    if not found:
        fail(_none([message_id]))


@app.command()
def resend(
    ids: Ids = None,
    all_: AllOption = False,
    destination: DestinationOption = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Send again. Each joins at the end of its line: what came later and was delivered stays before it."""
    with facts_of(data) as facts:
        _ask_server(facts, "resend", _chosen(facts, ids or [], all_, destination), json=json)


@app.command()
def discard(
    ids: Ids = None,
    all_: AllOption = False,
    destination: DestinationOption = None,
    data: DataOption = DATA,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Throw away for good."""
    with facts_of(data) as facts:
        chosen = _chosen(facts, ids or [], all_, destination)
        ask(f"Throw {many(len(chosen), 'dead letter')} away for good?", yes=yes, for_good=True)
        _ask_server(facts, "discard", chosen, json=json)


def _chosen(facts: Facts, ids: Sequence[str], all_: bool, destination: str | None) -> list[DeadLetter]:
    if bool(ids) == all_:
        raise typer.BadParameter("Name message ids, or --all.")
    found = letters(facts, destination, MOST)
    chosen = [letter for letter in found if all_ or letter.event.stamp.message_id in ids]
    missing = set(ids) - {letter.event.stamp.message_id for letter in chosen}
    if missing:
        fail(_none(sorted(missing)))
    if all_ and (there := count(facts, destination)) > len(found):
        note(f"Only the oldest {len(found):,} of {there:,} at once: say it again for the rest.")
    return chosen


def _ask_server(facts: Facts, kind: str, chosen: Sequence[DeadLetter], *, json: bool) -> None:
    what = "resent" if kind == "resend" else "discarded"
    by_destination: dict[int, list[tuple[int, int]]] = {}
    for letter in chosen:
        by_destination.setdefault(letter.destination, []).append((letter.position.partition, letter.position.offset))
    asked = [
        facts.workspace.commands.ask(kind, {"destination": number, "positions": positions})
        for number, positions in by_destination.items()
    ]
    told = answers(facts, asked)
    done = None if told is None else sum(int(one["done"]) for one in told)
    if json:
        print_json({"asked": len(chosen), what: done})
    elif done is not None:
        typer.echo(f"{many(done, 'dead letter')} {what}.")
    if done is None:
        when = "soon: the server is busy" if facts.server_runs else "when `milonga serve` runs"
        note(f"Asked for; {len(chosen):,} will be {what} {when}.")


def _none(ids: Sequence[str]) -> str:
    return clean(f"There is no dead letter with message id {', '.join(ids)}. See `milonga dead list`.")
