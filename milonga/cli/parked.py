"""`milonga parked`: lines that do not move and therefore wait on disk, and what to do with them."""

import json as json_
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Final

import typer

from milonga.api.client import Reach, rows
from milonga.api.encoding import encoded
from milonga.cli.asking import answers, runs
from milonga.cli.common import DATA, NO_SERVER, DataOption, JsonOption, YesOption, ask, facts_of, fail, note
from milonga.cli.exporting import FormatOption, format_of, pages
from milonga.cli.giving import event_in
from milonga.cli.options import Destination, EventFile
from milonga.cli.reaching import reached, remote
from milonga.cli.terminal import Column, clean, many, print_json, print_table
from milonga.delivery.by_hand import RELEASE, RETRY, SKIP
from milonga.delivery.rows import key_text
from milonga.destinations.contract import Key
from milonga.facts import wishes
from milonga.facts.exporting import PARKED_COLUMNS, export_parked, head, line
from milonga.facts.facts import Place
from milonga.outcomes.words import typed
from milonga.workspace.model import DestinationState

NAMES: Final = {RETRY: "retryParkedKeys", RELEASE: "releaseParkedKeys", SKIP: "skipParkedKeys"}

app = typer.Typer(no_args_is_help=True, help="Parked keys: lines that do not move, and wait on disk.")

MOST = 10_000  #: keys of one page

OfAccount = Annotated[str | None, typer.Option("--account", "-a", metavar="ID", help="Keys of this account.")]
OfUser = Annotated[
    str | None, typer.Option("--user", "-u", metavar="ID", help="With --account: the key of this user alone.")
]
Keys = Annotated[
    list[str] | None, typer.Option("--key", metavar="JSON", help="A key as `parked list` shows it; repeatable.")
]
OneKey = Annotated[
    str | None, typer.Option("--key", metavar="JSON", help="Behind this key alone, as `parked list` shows it.")
]
All = Annotated[bool, typer.Option("--all", help="All that are parked now.")]

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
    account: OfAccount = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="JSON", help="Only what follows this key: the last one shown.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST)] = 100,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List parked keys, in the order of the keys, with the first event that waits behind each and why."""
    behind = None if after is None else key_text(_key(after))
    with reached(data) as milonga:
        query = {"destination": destination, "account": account, "after": behind}
        answer = rows(milonga, "listParkedKeys", query, limit)
        if not json:
            _tell_state(milonga, destination)
    found, there = answer.data, answer.page["total"]
    if json:
        print_json(found)
    elif found:
        print_table(COLUMNS, [[_cell(row[column.name]) for column in COLUMNS] for row in found])
    else:
        typer.echo("There are no parked keys." if not there else "There are no such parked keys.")
    if len(found) == limit and there > limit:
        words = clean(f"milonga parked list {destination} --after {typed(key_text(tuple(found[-1]['key'])))}")
        note(f"{len(found):,} of {there:,} keys. More: {words}")


def _hurrying(kind: str) -> Callable[..., None]:
    """The command that asks for it."""

    def hurry(
        destination: Destination,
        account: OfAccount = None,
        user: OfUser = None,
        key: Keys = None,
        all_: All = False,
        data: DataOption = DATA,
        json: JsonOption = False,
    ) -> None:
        with reached(data) as milonga:
            _ask(milonga, kind, destination, _lines(milonga, destination, account, user, key, all_), json=json)

    return hurry


app.command(
    "retry",
    help="Try the first event of each key now, rather than when its wait is over. A Retry-After of the receiver holds.",
)(_hurrying(RETRY))
app.command(
    "release",
    help="Forget how often each key's events failed and every wait, and send them as if they had just come, in order.",
)(_hurrying(RELEASE))


@app.command()
def skip(
    destination: Destination,
    account: OfAccount = None,
    user: OfUser = None,
    key: Keys = None,
    all_: All = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="All events of each key that are parked by now, not the first alone.")
    ] = False,
    data: DataOption = DATA,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Skip the first event of each key, so that its line goes on. It is not sent any more."""
    with reached(data) as milonga:
        lines = list(_lines(milonga, destination, account, user, key, all_))
        count = sum(one["waiting"] for one in lines) if whole else len(lines)
        ask(f"Skip {many(count, 'event')} of {clean(destination)} for good?", yes=yes, for_good=True)
        _ask(milonga, SKIP, destination, iter(lines), json=json, whole=whole)


@app.command()
def edit(
    destination: Destination,
    file: EventFile,
    account: OfAccount = None,
    user: OfUser = None,
    key: OneKey = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """
    Send an edited event in place of the first one behind a key, from its place and as soon as the receiver allows.

    The first line of `parked export` has the event to begin with. It keeps its message id, and must belong to the same
    account and user, for nothing may overtake anything: else skip it. The log keeps what arrived; `milonga explain`
    tells both.
    """
    if key is None and (account is None or user is None):
        raise typer.BadParameter("Name --key, or --account and --user.")
    text = event_in(file)
    with reached(data) as milonga:
        (line,) = _lines(milonga, destination, account, user, None if key is None else [key], all_=False)
        body = {"destination": destination, **line["first"], "event": text, "parkedAt": line["parkedAt"]}
        told = milonga.ask("editParkedEvent", body=body).data
        answered = answers(milonga, told["commands"])
        done = None if answered is None else sum(int(one["done"]) for one in answered)
        if json:
            print_json({"asked": told["asked"], "done": done})
        elif done is not None:
            typer.echo("The event is edited, and sent as soon as the receiver allows.")
        if done is None:
            note("Asked for. " + _when(milonga))
        _tell_state(milonga, destination)


@app.command("export")
def export_(
    destination: Destination,
    format_: FormatOption = "jsonl",
    account: OfAccount = None,
    user: OfUser = None,
    key: OneKey = None,
    data: DataOption = DATA,
) -> None:
    """
    Write the events that wait behind parked keys to stdout, line after line, each in its order.

    An event that stands in several lines is written once. In CSV, a cell that a spreadsheet would take for a formula
    begins with an apostrophe.
    """
    if account is not None and key is not None:
        raise typer.BadParameter("--account and --key exclude each other.")
    if user is not None and account is None:
        raise typer.BadParameter("--user goes with --account.")
    wanted = None if key is None else _key(key)
    if account is not None and user is not None:
        wanted, account = (account, user), None
    chosen, out = format_of(format_), sys.stdout.buffer
    if remote() is not None:
        query = {"destination": destination, "account": account, "key": None if wanted is None else key_text(wanted)}
        with reached(data) as milonga:
            for already, page in enumerate(pages(milonga, "listParkedEvents", query)):
                out.write(b"" if already else head(chosen, PARKED_COLUMNS))
                for row in page:
                    event = None if row["event"] is None else encoded(row["event"])
                    out.write(line(row, event, chosen, PARKED_COLUMNS))
    else:
        with facts_of(data) as facts:
            place = Place(facts.workspace.destination(destination))
            for some in export_parked(facts, place, account=account, key=wanted, format_=chosen):
                out.write(some)
    out.flush()


def _lines(
    milonga: Reach, destination: str, account: str | None, user: str | None, keys: Sequence[str] | None, all_: bool
) -> Iterator[dict[str, Any]]:
    """What is meant, page by page, as `parked list` has it."""
    if (account is not None) + bool(keys) + all_ != 1:
        raise typer.BadParameter("Name --account, or --key, or --all.")
    if user is not None and account is None:
        raise typer.BadParameter("--user goes with --account.")
    named = [_key(text) for text in keys or ()]
    if account is not None and user is not None:
        named = [(account, user)]
    for wanted in named:
        query = {"destination": destination, "key": key_text(wanted), "count": 1}
        found = milonga.ask("listParkedKeys", query=query).data
        if not found:
            fail(clean(f"{key_text(wanted)} is not parked. See `milonga parked list {destination}`."))
        yield found[0]
    if named:
        return
    cursor, some = None, False
    while True:
        query = {"destination": destination, "account": account, "count": wishes.LINES, "cursor": cursor}
        answer = milonga.ask("listParkedKeys", query=query)
        yield from answer.data
        some, cursor = some or bool(answer.data), answer.page["next"]
        if cursor is None:
            break
    if not some:
        what = "No key is parked" if account is None else f"No key of account {account} is parked"
        fail(clean(f"{what}. See `milonga parked list {destination}`."))


def _ask(
    milonga: Reach,
    kind: str,
    destination: str,
    lines: Iterator[dict[str, Any]],
    *,
    json: bool,
    whole: bool = False,
) -> None:
    asked: list[int] = []
    keys = 0
    while page := list(islice(lines, wishes.LINES)):
        keys += len(page)
        body = {"destination": destination, "lines": [{"key": one["key"], "first": one["first"]} for one in page]}
        told = milonga.ask(NAMES[kind], body=body | ({"whole": whole} if kind == SKIP else {}))
        asked += told.data["commands"]
    told_ = answers(milonga, asked)
    done = None if told_ is None else sum(one["done"] for one in told_)
    under_way = None if told_ is None else sum(one["underWay"] for one in told_)
    if json:
        print_json({"asked": keys, "done": done, "underWay": under_way})
    elif done is not None:
        typer.echo(f"{many(done, 'event' if kind == SKIP else 'key')} {wishes.DEEDS[kind]}.")
        if under_way:
            note(f"{many(under_way, 'event')} under way just now: skipped unless the receiver takes it.")
    if done is None:
        note(f"Asked for, for {many(keys, 'key')}. {_when(milonga)}")
    _tell_state(milonga, destination)


def _when(milonga: Reach) -> str:
    """When it is done, if nobody has said so yet."""
    return f"{'The server is busy and does it soon' if runs(milonga) else f'{NO_SERVER}: it is done at its start'}."


def _tell_state(milonga: Reach, destination: str) -> None:
    """What keeps all of it from being sent."""
    one = milonga.ask("getDestination", {"destination": destination}).data
    if one["state"] != DestinationState.on.value:
        note(f"{clean(destination)} is {one['state']}: nothing is sent. See `milonga destinations show`.")
    elif one["serverRunning"] and one["breaker"] not in (None, "closed"):
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
