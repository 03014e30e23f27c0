"""`milonga parked`: lines that do not move and therefore wait on disk, and what to do with them."""

import json as json_
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated

import typer

from milonga.cli.asking import answers
from milonga.cli.common import DATA, NO_SERVER, DataOption, JsonOption, YesOption, ask, facts_of, fail, note
from milonga.cli.terminal import Column, clean, many, print_json, print_table
from milonga.delivery.by_hand import RELEASE, RETRY, SKIP
from milonga.delivery.parked_list import ParkedKey, count_keys, parked_key, parked_keys
from milonga.delivery.rows import key_text
from milonga.destinations.contract import Key
from milonga.facts import wishes
from milonga.facts.facts import Facts, Place
from milonga.facts.parked import as_row
from milonga.outcomes.words import typed
from milonga.workspace.model import DestinationState

app = typer.Typer(no_args_is_help=True, help="Parked keys: lines that do not move, and wait on disk.")

MOST = 10_000  #: keys of one page

Destination = Annotated[str, typer.Argument(metavar="DESTINATION", help="Name of the destination.")]
AccountOption = Annotated[str | None, typer.Option("--account", "-a", metavar="ID", help="Keys of this account.")]
UserOption = Annotated[
    str | None, typer.Option("--user", "-u", metavar="ID", help="With --account: the key of this user alone.")
]
KeyOption = Annotated[
    list[str] | None, typer.Option("--key", metavar="JSON", help="A key as `parked list` shows it; repeatable.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All that are parked now.")]

COLUMNS = (
    Column("key"),
    Column("waiting"),
    Column("since", time=True),
    Column("attempts", drop=2),
    Column("code"),
    Column("nextTry", time=True, drop=1),
    Column("reason", least=20),
)


@app.command("list")
def list_(
    destination: Destination,
    account: AccountOption = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="JSON", help="Only what follows this key: the last one shown.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST)] = 100,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List parked keys, in the order of the keys, with the first event that waits behind each and why."""
    behind = "" if after is None else key_text(_key(after))
    with facts_of(data) as facts:
        number = facts.workspace.destination(destination).id
        reader = facts.delivery
        found = [] if reader is None else parked_keys(reader, number, after=behind, account=account, limit=limit)
        there = 0 if reader is None else count_keys(reader, number)
        if not json:
            _tell_state(facts, destination)
    rows = [as_row(one) for one in found]
    if json:
        print_json(rows)
    elif rows:
        print_table(COLUMNS, [[_cell(row[column.name]) for column in COLUMNS] for row in rows])
    else:
        typer.echo("There are no parked keys." if not there else "There are no such parked keys.")
    if len(found) == limit and there > limit:
        words = clean(f"milonga parked list {destination} --after {typed(found[-1].text)}")
        note(f"{len(rows):,} of {there:,} keys. More: {words}")


@app.command()
def retry(
    destination: Destination,
    account: AccountOption = None,
    user: UserOption = None,
    key: KeyOption = None,
    all_: AllOption = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Try the first event of each key now, rather than when its wait is over. A Retry-After of the receiver holds."""
    with facts_of(data) as facts:
        _ask(facts, RETRY, destination, _lines(facts, destination, account, user, key, all_), json=json)


@app.command()
def skip(
    destination: Destination,
    account: AccountOption = None,
    user: UserOption = None,
    key: KeyOption = None,
    all_: AllOption = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="All events of each key that are parked by now, not the first alone.")
    ] = False,
    data: DataOption = DATA,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Skip the first event of each key, so that its line goes on. It is not sent any more."""
    with facts_of(data) as facts:
        lines = list(_lines(facts, destination, account, user, key, all_))
        count = sum(one.waiting for one in lines) if whole else len(lines)
        ask(f"Skip {many(count, 'event')} of {clean(destination)} for good?", yes=yes, for_good=True)
        _ask(facts, SKIP, destination, iter(lines), json=json, whole=whole)


@app.command()
def release(
    destination: Destination,
    account: AccountOption = None,
    user: UserOption = None,
    key: KeyOption = None,
    all_: AllOption = False,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Forget how often each key's events failed and every wait, and send them as if they had just come, in order."""
    with facts_of(data) as facts:
        _ask(facts, RELEASE, destination, _lines(facts, destination, account, user, key, all_), json=json)


def _lines(
    facts: Facts, destination: str, account: str | None, user: str | None, keys: Sequence[str] | None, all_: bool
) -> Iterator[ParkedKey]:
    """What is meant, page by page."""
    if (account is not None) + bool(keys) + all_ != 1:
        raise typer.BadParameter("Name --account, or --key, or --all.")
    if user is not None and account is None:
        raise typer.BadParameter("--user goes with --account.")
    number, reader = facts.workspace.destination(destination).id, facts.delivery
    named = [_key(text) for text in keys or ()]
    if account is not None and user is not None:
        named = [(account, user)]
    if named:
        for wanted in named:
            found = None if reader is None else parked_key(reader, number, wanted)
            if found is None:
                fail(clean(f"{key_text(wanted)} is not parked. See `milonga parked list {destination}`."))
            yield found
        return
    after, some = "", False
    while reader is not None and (
        page := parked_keys(reader, number, after=after, account=account, limit=wishes.LINES)
    ):
        yield from page
        after, some = page[-1].text, True
    if not some:
        what = "No key is parked" if account is None else f"No key of account {account} is parked"
        fail(clean(f"{what}. See `milonga parked list {destination}`."))


def _ask(
    facts: Facts, kind: str, destination: str, lines: Iterator[ParkedKey], *, json: bool, whole: bool = False
) -> None:
    place, asked, keys = Place(facts.workspace.destination(destination)), [], 0
    while page := list(islice(lines, wishes.LINES)):
        keys += len(page)
        first = [(one.text, one.first) for one in page]
        asked.append(wishes.parked(facts, kind, place, first, whole=whole, by="cli"))
    told = answers(facts, asked)
    done = None if told is None else sum(one["done"] for one in told)
    under_way = None if told is None else sum(one["underWay"] for one in told)
    if json:
        print_json({"asked": keys, "done": done, "underWay": under_way})
    elif done is not None:
        typer.echo(f"{many(done, 'event' if kind == SKIP else 'key')} {wishes.DEEDS[kind]}.")
        if under_way:
            note(f"{many(under_way, 'event')} under way just now: skipped unless the receiver takes it.")
    if done is None:
        when = "The server is busy and does it soon" if facts.server_runs else f"{NO_SERVER}: it is done at its start"
        note(f"Asked for, for {many(keys, 'key')}. {when}.")
    _tell_state(facts, destination)


def _tell_state(facts: Facts, destination: str) -> None:
    """What keeps all of it from being sent."""
    config = facts.workspace.destination(destination)
    if config.state is not DestinationState.on:
        note(f"{clean(destination)} is {config.state.value}: nothing is sent. See `milonga destinations show`.")
        return
    health = facts.health(config.id)
    if facts.server_runs and health is not None and health.breaker != "closed":
        note(f"{clean(destination)} fails for everybody just now: one request at a time finds out when it is back.")


def _key(text: str) -> Key:
    """Wrong use (exit 2) if it is none."""
    try:
        found = json_.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(part, str) for part in found):
        raise typer.BadParameter("""A key is a list of texts, as `parked list` shows it: '["acme","ada"]'.""")
    return tuple(found)


def _cell(value: object) -> str:
    if isinstance(value, list):
        return key_text(tuple(value))
    return "-" if value is None or value == "" else str(value)
