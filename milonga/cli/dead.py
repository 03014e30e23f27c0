"""`milonga dead`: what destinations refused for good, and what to do with it."""

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, cast

import typer

from milonga.api.client import Reach, rows
from milonga.api.encoding import encoded
from milonga.cli.asking import answers, runs
from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, facts_of, fail, note
from milonga.cli.exporting import FormatOption, format_of, pages
from milonga.cli.giving import event_in
from milonga.cli.options import AccountOption, DestinationOption, EventFile, TypeOption, UserOption
from milonga.cli.reaching import reached, remote
from milonga.cli.terminal import Column, clean, many, print_json, print_rows
from milonga.delivery.letter_list import LetterFilter
from milonga.facts.dead import MOST
from milonga.facts.exporting import export, head, line
from milonga.spec.event import EventType
from milonga.workspace.model import DestinationState

app = typer.Typer(no_args_is_help=True, help="Dead letters: events a destination refused for good.")


Ids = Annotated[list[str] | None, typer.Argument(metavar="MESSAGE_ID", help="Message ids; or --all.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]
CodeOption = Annotated[str | None, typer.Option("--code", metavar="CODE", help="Those refused with this code.")]


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
    with reached(data) as milonga:
        answer = rows(milonga, "listDeadLetters", {"destination": destination}, limit)
    found, there = answer.data, answer.page["total"]
    print_rows(COLUMNS, found, "There are no dead letters.", json=json)
    if there > len(found):
        note(f"These are {len(found):,} of {there:,}; --limit for more.")


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID")],
    destination: DestinationOption = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Show a dead letter with its event. Always JSON."""
    with reached(data) as milonga:
        found = _with_id(milonga, message_id, destination, events=True)
    if found or json:
        print_json(found)
    if not found:
        fail(_none([message_id]))


@app.command()
def resend(
    ids: Ids = None,
    all_: AllOption = False,
    code: CodeOption = None,
    destination: DestinationOption = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Send again. Each joins at the end of its line: what came later and was delivered stays before it."""
    with reached(data) as milonga:
        chosen, _, names = _chosen(milonga, ids or [], all_, code, destination)
        _tell(milonga, milonga.ask("resendDeadLetters", body=chosen).data, "resent", json=json)
        _say_if_paused(milonga, names)


@app.command()
def edit(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID")],
    file: EventFile,
    destination: DestinationOption = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """
    Send an edited event in place of a dead letter, to this destination alone. `dead show` has the event to begin with.

    It is checked as every event is that arrives, keeps its message id, and joins at the end of its line. The log keeps
    what arrived; `milonga explain` tells both.
    """
    text = event_in(file)
    with reached(data) as milonga:
        found = _with_id(milonga, message_id, destination)
        if not found:
            fail(_none([message_id]))
        if len(found) > 1:
            names = ", ".join(sorted({one["destination"] for one in found}))
            fail(clean(f"There are {len(found)} dead letters with this message id ({names}): name one, --destination."))
        (one,) = found
        body = {"destination": one["destination"], **one["position"], "event": text, "diedAt": one["diedAt"]}
        _tell(milonga, milonga.ask("editDeadLetter", body=body).data, "edited and resent", json=json)
        _say_if_paused(milonga, {one["destination"]})


@app.command()
def discard(
    ids: Ids = None,
    all_: AllOption = False,
    code: CodeOption = None,
    destination: DestinationOption = None,
    data: DataOption = DATA,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Throw away for good."""
    with reached(data) as milonga:
        chosen, count, _ = _chosen(milonga, ids or [], all_, code, destination)
        ask(f"Throw {many(count, 'dead letter')} away for good?", yes=yes, for_good=True)
        _tell(milonga, milonga.ask("discardDeadLetters", body=chosen).data, "discarded", json=json)


@app.command("export")
def export_(
    format_: FormatOption = "jsonl",
    code: CodeOption = None,
    type_: TypeOption = None,
    account: AccountOption = None,
    user: UserOption = None,
    destination: DestinationOption = None,
    data: DataOption = DATA,
) -> None:
    """
    Write dead letters with their events to stdout, the oldest death first.

    In CSV, a cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    chosen = format_of(format_)
    out = sys.stdout.buffer
    if remote() is not None:
        query = {"code": code, "type": type_, "account": account, "user": user, "destination": destination}
        with reached(data) as milonga:
            for already, page in enumerate(pages(milonga, "listDeadLetters", query)):
                out.write(b"" if already else head(chosen))
                out.writelines(line(row, encoded(row["event"]), chosen) for row in page)
    else:
        wanted = LetterFilter(code=code, type=cast("EventType | None", type_), account=account, user=user)
        with facts_of(data) as facts:
            number = None if destination is None else facts.workspace.destination(destination).id
            for some in export(facts, wanted, number, format_=chosen):
                out.write(some)
    out.flush()


def _with_id(milonga: Reach, message_id: str, destination: str | None, *, events: bool = False) -> list[dict[str, Any]]:
    query = {"messageId": message_id, "destination": destination, "events": events or None}
    found: list[dict[str, Any]] = rows(milonga, "listDeadLetters", query, MOST).data
    return found


def _chosen(
    milonga: Reach, ids: Sequence[str], all_: bool, code: str | None, destination: str | None
) -> tuple[dict[str, object], int, set[str]]:
    """Which are meant, as the API takes it; how many; of which destinations."""
    if bool(ids) + (all_ or code is not None) != 1:
        raise typer.BadParameter("Name message ids, or --code, or --all.")
    if not ids:
        counts = milonga.ask("countDeadLetters", query={"destination": destination}).data
        meant = [one for one in counts if code in (None, one["code"])]
        body: dict[str, object] = {"all": code is None, "code": code, "destination": destination}
        return body, sum(one["count"] for one in meant), {one["destination"] for one in meant}
    found = [one for id_ in dict.fromkeys(ids) for one in _with_id(milonga, id_, destination)]
    missing = set(ids) - {one["messageId"] for one in found}
    if missing:
        fail(_none(sorted(missing)))
    letters = [{"destination": one["destination"], **one["position"]} for one in found]
    return {"letters": letters}, len(found), {one["destination"] for one in found}


def _say_if_paused(milonga: Reach, names: Iterable[str]) -> None:
    """Of what was resent to these destinations: it may wait there for long."""
    for name in sorted(names):
        if milonga.ask("getDestination", {"destination": name}).data["state"] == DestinationState.paused.value:
            note(f"What was resent waits: {clean(name)} is paused. See `milonga destinations show {clean(name)}`.")


def _tell(milonga: Reach, asked: dict[str, Any], what: str, *, json: bool) -> None:
    count = asked["asked"]
    told = answers(milonga, asked["commands"])
    done = None if told is None else sum(int(one["done"]) for one in told)
    if json:
        print_json({"asked": count, "resent" if what.endswith("resent") else what: done})
    elif done is not None:
        typer.echo(f"{many(done, 'dead letter')} {what}.")
    if done is None:
        when = "soon: the server is busy" if runs(milonga) else "when `milonga serve` runs"
        note(f"Asked for; {count:,} will be {what} {when}.")


def _none(ids: Sequence[str]) -> str:
    return clean(f"There is no dead letter with message id {', '.join(ids)}. See `milonga dead list`.")
