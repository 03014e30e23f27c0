"""`milonga dead`: what destinations refused for good, and what to do with it."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from milonga.cli.asking import answers
from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, fail, note
from milonga.cli.facts import Facts, facts_of
from milonga.cli.terminal import Column, clean, many, print_json, print_table
from milonga.delivery.rows import DeadLetter
from milonga.outcomes.explain import name_of
from milonga.outcomes.words import instant
from milonga.spec.read import read_stamped

app = typer.Typer(no_args_is_help=True, help="Dead letters: events a destination refused for good.")


DestinationOption = Annotated[str | None, typer.Option("--destination", "-d", metavar="NAME", help="Only of this one.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="MESSAGE_ID", help="Message ids; or --all.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]
MOST = 10_000  #: dead letters of one command

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
        rows = [_row(facts, letter) for letter in _letters(facts, destination, limit)]
        there = _count(facts, destination)
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
            _row(facts, letter) | {"event": read_stamped(letter.event).received}
            for letter in _letters(facts, destination, MOST)
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
    letters = _letters(facts, destination, MOST)
    chosen = [letter for letter in letters if all_ or letter.event.stamp.message_id in ids]
    missing = set(ids) - {letter.event.stamp.message_id for letter in chosen}
    if missing:
        fail(_none(sorted(missing)))
    if all_ and (there := _count(facts, destination)) > len(letters):
        note(f"Only the oldest {len(letters):,} of {there:,} at once: say it again for the rest.")
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


def _numbers(facts: Facts, destination: str | None) -> list[int]:
    if destination is not None:
        return [facts.workspace.destination(destination).id]
    return [place.config.id for place in facts.places if place.removed_at is None]


def _count(facts: Facts, destination: str | None) -> int:
    delivery = facts.delivery
    return 0 if delivery is None else sum(map(delivery.dead_count, _numbers(facts, destination)))


def _letters(facts: Facts, destination: str | None, limit: int) -> list[DeadLetter]:
    """Those of removed destinations are nobody's business any more, even where they are still there."""
    if facts.delivery is None:
        return []
    found = [one for number in _numbers(facts, destination) for one in facts.delivery.dead_letters(number, limit=limit)]
    return sorted(found, key=lambda letter: letter.died_at)[:limit]


def _row(facts: Facts, letter: DeadLetter) -> dict[str, Any]:
    stamp = letter.event.stamp
    return {
        "destination": facts.destination_name(letter.destination),
        "position": {"partition": letter.position.partition, "offset": letter.position.offset},
        "diedAt": instant(letter.died_at),
        "code": letter.code,
        "reason": letter.reason,
        "type": stamp.type,
        "name": name_of(read_stamped(letter.event)),
        "messageId": stamp.message_id,
        "user": stamp.user_id,
        "account": stamp.account,
        "receivedAt": instant(stamp.received_at),
    }
