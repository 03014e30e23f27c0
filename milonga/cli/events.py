"""`milonga events`: what arrived."""

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from milonga.cli.common import DATA, LOG_FOLDER, DataOption, JsonOption, fail, print_json, print_table
from milonga.cli.facts import Facts, facts_of
from milonga.eventlog.api import START, Discard, Stored
from milonga.eventlog.counters import DISCARDED
from milonga.eventlog.lookup import AFTER_ALL
from milonga.eventlog.reader import SqliteLogReader
from milonga.outcomes.explain import instant
from milonga.spec.read import read_stamped

app = typer.Typer(no_args_is_help=True, help="What arrived, as it is kept in the log.")

Limit = Annotated[int, typer.Option("--limit", "-n", help="The newest so many.", min=1, max=10_000)]


@app.command("list")
def list_(limit: Limit = 20, data: DataOption = DATA, json: JsonOption = False) -> None:
    """List the newest events, newest first."""
    with facts_of(data) as facts:
        found = [_row(facts, stored) for stored in facts.log.newest(limit)]
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
def discarded(limit: Limit = 20, data: DataOption = DATA, json: JsonOption = False) -> None:
    """What was not accepted: how many by code, in all and as far back as counts go, and the newest to look at."""
    with facts_of(data) as facts:
        totals: Counter[tuple[str, str]] = Counter()
        for count in facts.log.counts(0, AFTER_ALL):
            if count.name.startswith(DISCARDED):
                totals[facts.source(count.source), count.name.removeprefix(DISCARDED)] += count.n
        samples = [_discard(facts, discard) for discard in facts.log.discards(limit)]
    counts = [{"source": source, "code": code, "events": n} for (source, code), n in sorted(totals.items())]
    if json:
        print_json({"counts": counts, "newest": samples})
        return
    if not counts:
        typer.echo("Nothing was discarded.")
        return
    print_table(("source", "code", "events"), [[str(value) for value in row.values()] for row in counts])
    columns = ("at", "source", "code", "reason")
    print_table(columns, [[str(row[column]) for column in columns] for row in samples])


@app.command()
def tail(
    limit: Limit = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Print the newest events, oldest first, one a line."""
    with facts_of(data) as facts, suppress(KeyboardInterrupt):
        asyncio.run(_tail(facts, data, limit, follow=follow, json=json))


async def _tail(facts: Facts, data: Path, limit: int, *, follow: bool, json: bool) -> None:
    seen = START
    for stored in reversed(facts.log.newest(limit)):
        seen = stored.position.offset
        typer.echo(_line(_row(facts, stored), json=json))
    reader = SqliteLogReader(data / LOG_FOLDER)
    while follow:
        for found in await reader.read(0, seen, 500):
            seen = found.position.offset
            if isinstance(found, Stored):
                typer.echo(_line(_row(facts, found), json=json))
        await reader.wait(0, seen, 60.0)
    await reader.close()


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


def _discard(facts: Facts, discard: Discard) -> dict[str, Any]:
    return {
        "at": instant(discard.at),
        "source": facts.source(discard.source),
        "code": discard.code,
        "reason": discard.reason,
        "excerpt": discard.excerpt.decode(errors="replace"),
    }


def _line(row: dict[str, Any], *, json: bool) -> str:
    if json:
        return msgspec.json.encode(row).decode()
    who = row["user"] or row["anonymous"] or "-"
    what = f"{row['type']:<8}  {row['name'] or '-'}"
    return f"{row['receivedAt']}  {what}  {who}  {row['account'] or '-'}  {row['messageId']}"
