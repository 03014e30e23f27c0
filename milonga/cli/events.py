"""`milonga events`: what arrived."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer

from milonga.cli.common import DATA, DataOption, JsonOption, fail, print_json, print_table
from milonga.cli.facts import Facts, facts_of
from milonga.eventlog.api import Stored
from milonga.outcomes.explain import instant
from milonga.spec.read import read_stamped

app = typer.Typer(no_args_is_help=True, help="What arrived, as it is kept in the log.")

LOOK = 0.5  #: seconds between two looks of `tail --follow`

Limit = Annotated[int, typer.Option("--limit", "-n", help="The newest so many.", min=1, max=10_000)]


@app.command("list")
def list_(limit: Limit = 20, data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the newest events, newest first."""
    with facts_of(data) as facts:
        found = [_row(facts, stored) for stored in reversed(facts.log.newest(limit))]
    if json:
        print_json(found)
        return
    columns = ("receivedAt", "type", "name", "user", "account", "source", "messageId")
    print_table(columns, [[str(row[column] or "-") for column in columns] for row in found])


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID")], data: DataOption = DATA, json: JsonOption = False
) -> None:
    """Show events with this message id as they arrived, and what the collector found out."""
    with facts_of(data) as facts:
        found = [
            _row(facts, stored) | {"event": read_stamped(stored.event).received}
            for stored in facts.log.by_message_id(message_id)
        ]
    if not found and not json:
        fail(f"No event with message id {message_id} is kept. `milonga events list` shows the newest.")
    print_json(found)


@app.command()
def tail(
    limit: Limit = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Print the newest events, oldest first, one a line."""
    with facts_of(data) as facts:
        try:
            for row in _tail(facts, limit, follow=follow):
                typer.echo(_line(row, json=json))
        except KeyboardInterrupt:
            pass


def _tail(facts: Facts, limit: int, *, follow: bool) -> Iterator[dict[str, Any]]:
    seen = 0
    for stored in facts.log.newest(limit):
        seen = stored.position.offset
        yield _row(facts, stored)
    while follow:
        fresh = facts.log.after(seen, 500)
        for stored in fresh:
            seen = stored.position.offset
            yield _row(facts, stored)
        if not fresh:
            time.sleep(LOOK)


def _row(facts: Facts, stored: Stored) -> dict[str, Any]:
    event = read_stamped(stored.event)
    call = event.call
    return {
        "position": {"partition": stored.position.partition, "offset": stored.position.offset},
        "receivedAt": instant(stored.event.stamp.received_at),
        "timestamp": instant(stored.event.stamp.timestamp),
        "source": facts.source(stored.event.stamp.source),
        "type": event.type,
        "name": getattr(call, "name", None),
        "messageId": event.message_id,
        "user": event.user_id,
        "anonymous": event.anonymous_id,
        "account": event.account.id if event.account is not None else None,
    }


def _line(row: dict[str, Any], *, json: bool) -> str:
    if json:
        return msgspec.json.encode(row).decode()
    who = row["user"] or row["anonymous"] or "-"
    what = f"{row['type']:<8}  {row['name'] or '-'}"
    return f"{row['receivedAt']}  {what}  {who}  {row['account'] or '-'}  {row['messageId']}"
