"""`milonga events`: what arrived."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from msgspec import Struct

from milonga.api.client import Answer, Reach
from milonga.api.route import MOST
from milonga.cli.common import DATA, DataOption, JsonOption, an_id, fail, note
from milonga.cli.options import AccountOption, TypeOption, UserOption
from milonga.cli.reaching import reached, remote, say
from milonga.cli.terminal import Column, clean, folded, json_text, one_line, print_json, print_table, terminal_width
from milonga.collector.refusals import HELP
from milonga.eventlog.api import START
from milonga.eventlog.reader import SqliteLogReader
from milonga.facts.directory import LOG_FOLDER
from milonga.facts.search import SCAN
from milonga.outcomes.words import instant
from milonga.spec.discards import FIX, MEANING
from milonga.workspace.commands import milliseconds

Query: TypeAlias = Mapping[str, object]
LOOK_AGAIN: Final = 1.0  #: seconds between two looks at a server elsewhere
AT_ONCE: Final = 500

app = typer.Typer(no_args_is_help=True, help="What arrived, as it is kept in the log.")

HOUR = 3_600_000  #: milliseconds
EVER: Final = "1970-01-01"  #: before the first count
EXCERPT = 200  #: characters of a discarded event, in a table


Limit = Annotated[int, typer.Option("--limit", "-n", help="The newest so many.", min=1, max=10_000)]
Name = Annotated[str | None, typer.Option("--name", help="Exact name of a call; of a page also its category.")]
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
    type_: TypeOption = None,
    name: Name = None,
    user: UserOption = None,
    account: AccountOption = None,
    no_account: NoAccount = False,
    source: Source = None,
    message_id: MessageId = None,
    scan: Scan = SCAN,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List the newest events, newest first."""
    wanted = _wanted(type_, name, user, account, no_account, source, message_id)
    with reached(data) as milonga:
        found = _search(milonga, wanted, limit, scan)
    if json:
        print_json(found.rows)
    else:
        print_table(COLUMNS, [[_cell(row, column.name) for column in COLUMNS] for row in found.rows])
    _say_if_cut(found)
    say(found.answer)


def _cell(row: Mapping[str, Any], name: str) -> str:
    """Of what names no account, and a replay filed under the one that was asked for: which replay."""
    if name == "account" and not row[name] and row.get("filed"):
        return f"(replay {', '.join(sorted({str(one['replay']) for one in row['filed']}))})"
    return str(row[name] or "-")


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(parser=an_id, metavar="MESSAGE_ID")],
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Show events with this message id as they arrived, and what the collector found out. Always JSON."""
    with reached(data) as milonga:
        found = milonga.ask("listReceived", query={"messageId": message_id}).data
    if found or json:
        print_json(found)
    if not found:
        fail(clean(f"No event with message id {message_id} is kept. `milonga events list` shows the newest."))


@app.command()
def discarded(limit: Limit = 20, data: DataOption = DATA, json: JsonOption = False) -> None:
    """What was not accepted: how many by code, in all and as far back as counts go, and the newest to look at."""
    with reached(data) as milonga:
        answer = milonga.ask("countDiscards")
        samples = milonga.ask("listDiscards", query={"count": limit}).data
    counts = answer.data
    if json:
        print_json({"counts": counts, "newest": samples})
        return
    say(answer)
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
    codes = dict.fromkeys(row["code"] for row in counts)
    _say([f"{code}: {MEANING[code]} {FIX[code]}" for code in codes if code in FIX])


@app.command()
def counts(
    hours: Annotated[
        float | None, typer.Option("--hours", help="Of the last so many only; beyond 48 by whole hours.", min=0.02)
    ] = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """How many events each source sent: accepted, dropped as duplicates, discarded; and its refused requests."""
    since = None if hours is None else instant(int(milliseconds() - hours * HOUR))
    with reached(data) as milonga:
        volume = milonga.ask("getEventsVolume", query={"startTime": since or EVER}).data
    counted = [{name: value for name, value in row.items() if name != "series"} for row in volume]
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
    said = [f"{code}: {HELP.get(code, 'nothing more is known of it here')}" for code in sorted(codes)]
    said.append(
        "Refused are requests, not events; none of their events is kept. The server's log names the latest (`refused`)."
    )
    _say(said)


def _say(lines: Sequence[str]) -> None:
    """Beneath a table."""
    if lines:
        typer.echo("")
    for line in lines:
        for part in folded(line, terminal_width()):
            typer.echo(part)


@app.command()
def tail(
    limit: Limit = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    type_: TypeOption = None,
    name: Name = None,
    user: UserOption = None,
    account: AccountOption = None,
    no_account: NoAccount = False,
    source: Source = None,
    message_id: MessageId = None,
    scan: Scan = SCAN,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Print the newest events, oldest first, one a line."""
    wanted = _wanted(type_, name, user, account, no_account, source, message_id)
    with reached(data) as milonga, suppress(KeyboardInterrupt):
        newest = milonga.ask("listEvents", query={"count": 1}).data
        found = _search(milonga, wanted, limit, scan)
        _say_if_cut(found)
        for row in reversed(found.rows):
            typer.echo(_line(row, json=json))
        if follow:
            seen = max((_offset(row) for row in (*newest, *found.rows)), default=START)
            _follow(milonga, data, wanted, seen, json=json)


def _follow(milonga: Reach, data: Path, wanted: Query, seen: int, *, json: bool) -> None:
    """Here the log says at once that something arrived; elsewhere it is looked for."""
    while True:
        if remote() is None:
            asyncio.run(_arrival(data, seen))
        else:
            time.sleep(LOOK_AGAIN)
        newest = milonga.ask("listEvents", query={"count": 1}).data
        upto = max(map(_offset, newest), default=seen)
        for row in reversed(_between(milonga, wanted, seen, upto) if upto > seen else []):
            typer.echo(_line(row, json=json))
            upto = max(upto, _offset(row))
        seen = max(seen, upto)


def _between(milonga: Reach, wanted: Query, seen: int, upto: int) -> list[dict[str, Any]]:
    """What arrived behind one offset, up to another and perhaps beyond; newest first."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    scan = min(SCAN, upto - seen + AT_ONCE)
    while True:
        answer = milonga.ask("listEvents", query={**wanted, "count": AT_ONCE, "scan": scan, "cursor": cursor})
        found += [row for row in answer.data if _offset(row) > seen]
        cursor, last = answer.page["next"], answer.page["last"]
        if cursor is None or last is None or last <= seen:
            return found


async def _arrival(data: Path, seen: int) -> None:
    """Of anything; or some time has gone by."""
    reader = SqliteLogReader(data / LOG_FOLDER)
    try:
        await reader.wait(0, seen, 60.0)
    finally:
        await reader.close()


def _offset(row: dict[str, Any]) -> int:
    return int(row["position"]["offset"])


def _wanted(
    type_: str | None,
    name: str | None,
    user: str | None,
    account: str | None,
    no_account: bool,
    source: str | None,
    message_id: str | None,
) -> Query:
    if no_account and account is not None:
        raise typer.BadParameter("--account and --no-account exclude each other.")
    return {
        "type": type_,
        "name": name,
        "user": user,
        "account": account,
        "noAccount": no_account or None,
        "source": source,
        "messageId": message_id,
    }


class _Found(Struct, frozen=True):
    """
    looked  events that were looked at
    until   back to when, if it was cut short
    answer  the last one
    """

    rows: list[dict[str, Any]]
    looked: int
    until: str | None
    answer: Answer


def _search(milonga: Reach, wanted: Query, limit: int, scan: int) -> _Found:
    """Page by page."""
    found: list[dict[str, Any]] = []
    looked, cursor = 0, None
    while True:
        count, here = min(MOST, limit - len(found)), min(SCAN, scan - looked)
        answer = milonga.ask("listEvents", query={**wanted, "count": count, "scan": here, "cursor": cursor})
        found += answer.data
        looked += answer.page["looked"]
        cursor = answer.page["next"]
        if cursor is None or len(found) >= limit or looked >= scan:
            return _Found(found, looked, answer.page["until"], answer)


def _say_if_cut(found: _Found) -> None:
    if found.until is not None:
        note(
            f"Only the newest {found.looked:,} events were looked through, back to {found.until}. "
            "--scan N looks further."
        )


def _line(row: dict[str, Any], *, json: bool) -> str:
    if json:
        return json_text(row, indent=0)
    columns = (*(c for c in COLUMNS if c.name not in ("user", "source")), Column("user", least=8, drop=2))
    shown = {**row, "user": row["user"] or row["anonymous"]}
    order = ("receivedAt", "type", "name", "user", "account", "messageId")
    by_name = {column.name: column for column in columns}
    return one_line([by_name[name] for name in order], [_cell(shown, name) for name in order], terminal_width())
