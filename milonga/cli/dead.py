"""`milonga dead`: what destinations refused for good, and what to do with it."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, fail, note, print_json, print_table
from milonga.cli.facts import Facts, facts_of
from milonga.delivery.rows import DeadLetter
from milonga.outcomes.explain import instant
from milonga.spec.read import read_stamped
from milonga.workspace.lock import holders

app = typer.Typer(no_args_is_help=True, help="Dead letters: events a destination refused for good.")

PATIENCE = 6.0  #: seconds to wait for a running server

DestinationOption = Annotated[str | None, typer.Option("--destination", "-d", metavar="NAME", help="Only of this one.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[MESSAGE_ID]...", help="Message ids; or --all.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]
MOST = 10_000  #: dead letters of one command


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
    if json:
        print_json(rows)
        return
    columns = ("diedAt", "destination", "code", "type", "account", "user", "messageId", "reason")
    print_table(columns, [[str(row[column] or "-") for column in columns] for row in rows])


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID")],
    destination: DestinationOption = None,
    data: DataOption = DATA,
) -> None:
    """Show a dead letter with its event, as JSON."""
    with facts_of(data) as facts:
        found = [
            _row(facts, letter) | {"event": read_stamped(letter.event).received}
            for letter in _letters(facts, destination, MOST)
            if letter.event.stamp.message_id == message_id
        ]
    if not found:
        fail(f"There is no dead letter with message id {message_id}. See `milonga dead list`.")
    print_json(found)


@app.command()
def resend(
    ids: Ids = None, all_: AllOption = False, destination: DestinationOption = None, data: DataOption = DATA
) -> None:
    """Send again. Each joins at the end of its line: what came later and was delivered stays before it."""
    _ask_server("resend", ids or [], all_, destination, data)


@app.command()
def discard(
    ids: Ids = None,
    all_: AllOption = False,
    destination: DestinationOption = None,
    data: DataOption = DATA,
    yes: YesOption = False,
) -> None:
    """Throw away for good."""
    ask("Throw these dead letters away for good?", yes=yes)
    _ask_server("discard", ids or [], all_, destination, data)


def _ask_server(kind: str, ids: list[str], all_: bool, destination: str | None, data: Path) -> None:
    if bool(ids) == all_:
        raise typer.BadParameter("Name message ids, or --all.")
    with facts_of(data) as facts:
        letters = _letters(facts, destination, MOST)
        chosen = [letter for letter in letters if all_ or letter.event.stamp.message_id in ids]
        missing = set(ids) - {letter.event.stamp.message_id for letter in chosen}
        if missing:
            fail(f"There is no dead letter with message id {', '.join(sorted(missing))}. See `milonga dead list`.")
        by_destination: dict[int, list[tuple[int, int]]] = {}
        for letter in chosen:
            by_destination.setdefault(letter.destination, []).append(
                (letter.position.partition, letter.position.offset)
            )
        asked = [
            facts.workspace.commands.ask(kind, {"destination": number, "positions": positions})
            for number, positions in by_destination.items()
        ]
        done = _wait(facts, asked) if holders(data) else None
    what = "resent" if kind == "resend" else "discarded"
    if done is None:
        note(f"Asked for; {len(chosen)} will be {what} when `milonga serve` runs.")
    else:
        typer.echo(f"{done} {what}.")


def _wait(facts: Facts, asked: list[int]) -> int | None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        results = [facts.workspace.commands.result(number) for number in asked]
        if all(result is not None for result in results):
            errors = [str(result["error"]) for result in results if result and "error" in result]
            if errors:
                fail(errors[0])
            return sum(int(result["done"]) for result in results if result)
        time.sleep(0.1)
    return None


def _letters(facts: Facts, destination: str | None, limit: int) -> list[DeadLetter]:
    number = None if destination is None else facts.workspace.destination(destination).id
    return [] if facts.delivery is None else facts.delivery.dead_letters(number, limit=limit)


def _row(facts: Facts, letter: DeadLetter) -> dict[str, Any]:
    stamp = letter.event.stamp
    return {
        "destination": facts.destination_name(letter.destination),
        "position": {"partition": letter.position.partition, "offset": letter.position.offset},
        "diedAt": instant(letter.died_at),
        "code": letter.code,
        "reason": letter.reason,
        "type": stamp.type,
        "messageId": stamp.message_id,
        "user": stamp.user_id,
        "account": stamp.account,
        "receivedAt": instant(stamp.received_at),
    }
