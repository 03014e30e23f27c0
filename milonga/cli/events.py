"""`milonga events`: what arrived."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from milonga.cli.common import DATA, DataOption, JsonOption, an_id, facts_of, fail, note, told
from milonga.cli.terminal import Column, clean, folded, json_text, one_line, print_json, print_table, terminal_width
from milonga.collector.refusals import HELP
from milonga.eventlog.api import START, Stored
from milonga.eventlog.reader import SqliteLogReader
from milonga.facts import events as rows
from milonga.facts.directory import LOG_FOLDER
from milonga.facts.facts import Facts
from milonga.facts.search import SCAN, Found, Wanted, find
from milonga.outcomes.words import instant
from milonga.spec.event import EventType
from milonga.spec.read import EVENT_TYPES
from milonga.workspace.commands import milliseconds

app = typer.Typer(no_args_is_help=True, help="What arrived, as it is kept in the log.")

HOUR = 3_600_000  #: milliseconds
EXCERPT = 200  #: characters of a discarded event, in a table


def _event_type(given: str) -> str:
    if given not in EVENT_TYPES:
        raise typer.BadParameter(f"Expected one of {', '.join(sorted(EVENT_TYPES))}.")
    return given


Limit = Annotated[int, typer.Option("--limit", "-n", help="The newest so many.", min=1, max=10_000)]
Type = Annotated[str | None, typer.Option("--type", parser=_event_type, metavar="TYPE", help="Such as track.")]
Name = Annotated[str | None, typer.Option("--name", help="Exact name of a track, page or screen call.")]
User = Annotated[str | None, typer.Option("--user", parser=an_id, metavar="ID", help="Only of this user.")]
Account = Annotated[str | None, typer.Option("--account", parser=an_id, metavar="ID", help="Only of this account.")]
NoAccount = Annotated[bool, typer.Option("--no-account", help="Only those that name no account.")]
Source = Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only from this source.")]
MessageId = Annotated[
    str | None, typer.Option("--message-id", parser=an_id, metavar="ID", help="Only with this message id.")
]
Scan = Annotated[int, typer.Option("--scan", help="Look through the newest so many, at most.", min=1)]

COLUMNS = (
    Column("receivedAt", time=True),
    Column("type"),
    Column("name", least=10),
    Column("user", least=8, drop=2),
    Column("account", least=8, drop=1),
    Column("source", least=6, drop=3),
    Column("messageId"),
)


@app.command("list")
def list_(
    limit: Limit = 20,
    type_: Type = None,
    name: Name = None,
    user: User = None,
    account: Account = None,
    no_account: NoAccount = False,
    source: Source = None,
    message_id: MessageId = None,
    scan: Scan = SCAN,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List the newest events, newest first."""
    with facts_of(data) as facts:
        wanted = _wanted(facts, type_, name, user, account, no_account, source, message_id)
        found = find(facts.log, wanted, limit, scan)
        listed = [rows.as_row(facts, stored) for stored in found.events]
    if json:
        print_json(listed)
    else:
        print_table(COLUMNS, [[str(row[column.name] or "-") for column in COLUMNS] for row in listed])
    _say_if_cut(found)


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(parser=an_id, metavar="MESSAGE_ID")],
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Show events with this message id as they arrived, and what the collector found out. Always JSON."""
    with facts_of(data) as facts:
        found = [rows.as_received(facts, stored) for stored in facts.log.by_message_id(message_id)]
    if found or json:
        print_json(found)
    if not found:
        fail(clean(f"No event with message id {message_id} is kept. `milonga events list` shows the newest."))


@app.command()
def discarded(limit: Limit = 20, data: DataOption = DATA, json: JsonOption = False) -> None:
    """What was not accepted: how many by code, in all and as far back as counts go, and the newest to look at."""
    with facts_of(data) as facts:
        counts, samples, refused = rows.discarded(facts), rows.newest_discarded(facts, limit), rows.refused(facts)
    if json:
        print_json({"counts": counts, "newest": samples})
        return
    if refused:
        note(f"Requests refused as a whole: {refused:,}. See `milonga events counts`.")
    if not counts:
        typer.echo("Nothing was discarded.")
        return
    print_table(("source", "code", "events"), [[str(value or "-") for value in row.values()] for row in counts])
    typer.echo("")
    columns = (
        Column("at", time=True),
        Column("source", 6),
        Column("code"),
        Column("reason", 40),
        Column("excerpt", 40),
    )
    print_table(columns, [[clean(str(row[c.name] or "-"), EXCERPT) for c in columns] for row in samples])


@app.command()
def counts(
    hours: Annotated[float | None, typer.Option("--hours", help="Of the last so many hours only.", min=0.02)] = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """How many events each source sent: accepted, dropped as duplicates, discarded; and its refused requests."""
    since = 0 if hours is None else int(milliseconds() - hours * HOUR)
    with facts_of(data) as facts:
        counted = rows.counts(facts, since)
    if json:
        print_json(counted)
        return
    if not counted:
        typer.echo("Nothing arrived.")
        return
    print_table(
        ("source", "accepted", "duplicates", "discarded", "refused", "by code"),
        [
            [
                str(row["source"] or "(not known)"),
                *(f"{row[name]:,}" for name in ("accepted", "duplicates", "discarded", "refused")),
                "; ".join(
                    f"{what} {', '.join(f'{n:,} {code}' for code, n in row[by].items())}"
                    for what, by in (("discarded", "discardedByCode"), ("refused", "refusedByCode"))
                    if row[by]
                )
                or "-",
            ]
            for row in counted
        ],
    )
    _help({code for row in counted for code in row["refusedByCode"]})


def _help(codes: set[str]) -> None:
    """What to do about refused requests."""
    if not codes:
        return
    said = [f"{code}: {HELP.get(code, 'see docs/tracking-api.md')}" for code in sorted(codes)]
    said.append(
        "Refused are requests, not events; none of their events is kept. The server's log names the latest (`refused`)."
    )
    typer.echo("")
    for line in said:
        for part in folded(line, terminal_width()):
            typer.echo(part)


@app.command()
def tail(
    limit: Limit = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    type_: Type = None,
    name: Name = None,
    user: User = None,
    account: Account = None,
    no_account: NoAccount = False,
    source: Source = None,
    message_id: MessageId = None,
    scan: Scan = SCAN,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Print the newest events, oldest first, one a line."""
    with facts_of(data) as facts, suppress(KeyboardInterrupt):
        wanted = _wanted(facts, type_, name, user, account, no_account, source, message_id)
        newest = facts.log.newest(1)
        found = find(facts.log, wanted, limit, scan)
        _say_if_cut(found)
        for stored in reversed(found.events):
            typer.echo(_line(rows.as_row(facts, stored), json=json))
        if follow:
            seen = max((one.position.offset for one in (*newest, *found.events)), default=START)
            asyncio.run(_follow(facts, data, wanted, seen, json=json))


async def _follow(facts: Facts, data: Path, wanted: Wanted, seen: int, *, json: bool) -> None:
    reader = SqliteLogReader(data / LOG_FOLDER)
    while True:
        for found in await reader.read(0, seen, 500):
            seen = found.position.offset
            if isinstance(found, Stored) and wanted.fits(found):
                typer.echo(_line(rows.as_row(facts, found), json=json))
        await reader.wait(0, seen, 60.0)


def _wanted(
    facts: Facts,
    type_: EventType | str | None,
    name: str | None,
    user: str | None,
    account: str | None,
    no_account: bool,
    source: str | None,
    message_id: str | None,
) -> Wanted:
    if no_account and account is not None:
        raise typer.BadParameter("--account and --no-account exclude each other.")
    with told():
        sources = None if source is None else frozenset(facts.sources_called(source))
    return Wanted(
        type=type_,  # type: ignore[arg-type]  # _event_type has looked
        name=name,
        user=user,
        account=account,
        no_account=no_account,
        sources=sources,
        message_id=message_id,
    )


def _say_if_cut(found: Found) -> None:
    if found.until is not None:
        note(
            f"Only the newest {found.looked:,} events were looked through, back to {instant(found.until)}. "
            "--scan N looks further."
        )


def _line(row: dict[str, Any], *, json: bool) -> str:
    if json:
        return json_text(row, indent=0)
    columns = (*(c for c in COLUMNS if c.name not in ("user", "source")), Column("user", least=8, drop=2))
    shown = {**row, "user": row["user"] or row["anonymous"]}
    order = ("receivedAt", "type", "name", "user", "account", "messageId")
    by_name = {column.name: column for column in columns}
    return one_line([by_name[name] for name in order], [str(shown[name] or "-") for name in order], terminal_width())
