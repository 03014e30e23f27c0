"""`milonga dead`: what destinations refused for good, and what to do with it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, cast

import typer
from msgspec import Struct

from milonga.cli.asking import answers
from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, facts_of, fail, note
from milonga.cli.events import Account, Type, User
from milonga.cli.terminal import Column, clean, many, print_json, print_table
from milonga.delivery.editing import NotValid
from milonga.delivery.letter_list import LetterFilter, count_by_code
from milonga.eventlog.api import Position
from milonga.facts import wishes
from milonga.facts.dead import MOST, as_row, count, letters
from milonga.facts.exporting import MEDIA_TYPES, Format, export
from milonga.facts.facts import Facts, Place
from milonga.spec.event import EventType
from milonga.spec.limits import MAX_REQUEST
from milonga.spec.read import read_stamped

app = typer.Typer(no_args_is_help=True, help="Dead letters: events a destination refused for good.")


DestinationOption = Annotated[str | None, typer.Option("--destination", "-d", metavar="NAME", help="Only of this one.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="MESSAGE_ID", help="Message ids; or --all.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]
CodeOption = Annotated[str | None, typer.Option("--code", metavar="CODE", help="Those refused with this code.")]
BY: Final = "cli"


def _format(given: str) -> str:
    if given not in MEDIA_TYPES:
        raise typer.BadParameter(f"Expected one of {', '.join(MEDIA_TYPES)}.")
    return given


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
    code: CodeOption = None,
    destination: DestinationOption = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Send again. Each joins at the end of its line: what came later and was delivered stays before it."""
    with facts_of(data) as facts:
        chosen = _chosen(facts, ids or [], all_, code, destination)
        asked = [wishes.resend(facts, one.place, positions=one.at, wanted=one.wanted, by=BY) for one in chosen]
        _tell(facts, sum(one.count for one in chosen), asked, "resent", json=json)


@app.command()
def edit(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID")],
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", help="The event as it is to go out, as JSON; - : stdin.")
    ],
    destination: DestinationOption = None,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """
    Send an edited event in place of a dead letter, to this destination alone. `dead show` has the event to begin with.

    It is checked as every event is that arrives, keeps its message id, and joins at the end of its line. The log keeps
    what arrived; `milonga explain` tells both.
    """
    text = _text(file)
    with facts_of(data) as facts:
        found = [one for one in letters(facts, destination, MOST) if one.event.stamp.message_id == message_id]
        if not found:
            fail(_none([message_id]))
        if len(found) > 1:
            names = ", ".join(sorted({facts.destination_name(one.destination) for one in found}))
            fail(clean(f"There are {len(found)} dead letters with this message id ({names}): name one, --destination."))
        place = next(place for place in facts.places if place.config.id == found[0].destination)
        try:
            asked = wishes.edit(facts, place, found[0].position, text, died_at=found[0].died_at, by=BY)
        except NotValid as error:
            fail(clean(f"{error}. Nothing was changed."))
        _tell(facts, 1, [asked], "edited and resent", json=json)


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
    with facts_of(data) as facts:
        chosen = _chosen(facts, ids or [], all_, code, destination)
        count_ = sum(one.count for one in chosen)
        ask(f"Throw {many(count_, 'dead letter')} away for good?", yes=yes, for_good=True)
        asked = [wishes.discard(facts, one.place, positions=one.at, wanted=one.wanted, by=BY) for one in chosen]
        _tell(facts, count_, asked, "discarded", json=json)


@app.command("export")
def export_(
    format_: Annotated[
        str, typer.Option("--format", parser=_format, metavar="jsonl|csv", help="JSON lines, or a table.")
    ] = "jsonl",
    code: CodeOption = None,
    type_: Type = None,
    account: Account = None,
    user: User = None,
    destination: DestinationOption = None,
    data: DataOption = DATA,
) -> None:
    """
    Write dead letters with their events to stdout, the oldest death first.

    In CSV, a cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    wanted = LetterFilter(code=code, type=cast("EventType | None", type_), account=account, user=user)
    with facts_of(data) as facts:
        number = None if destination is None else facts.workspace.destination(destination).id
        for some in export(facts, wanted, number, format_=cast("Format", format_)):
            sys.stdout.buffer.write(some)
        sys.stdout.buffer.flush()


class _Chosen(Struct, frozen=True):
    """Of one destination: those at these places, or all that fit."""

    place: Place
    count: int
    at: list[Position] | None = None
    wanted: LetterFilter | None = None


def _chosen(facts: Facts, ids: Sequence[str], all_: bool, code: str | None, destination: str | None) -> list[_Chosen]:
    if bool(ids) + (all_ or code is not None) != 1:
        raise typer.BadParameter("Name message ids, or --code, or --all.")
    places = [place for place in facts.places if place.removed_at is None]
    if destination is not None:
        number = facts.workspace.destination(destination).id
        places = [place for place in places if place.config.id == number]
    if not ids:
        wanted = LetterFilter(code=code)
        counts = [(place, _count(facts, place, code)) for place in places]
        return [_Chosen(place, n, wanted=wanted) for place, n in counts if n]
    found = [letter for letter in letters(facts, destination, MOST) if letter.event.stamp.message_id in ids]
    missing = set(ids) - {letter.event.stamp.message_id for letter in found}
    if missing:
        fail(_none(sorted(missing)))
    at = [(place, [one.position for one in found if one.destination == place.config.id]) for place in places]
    return [_Chosen(place, len(positions), at=positions) for place, positions in at if positions]


def _count(facts: Facts, place: Place, code: str | None) -> int:
    by_code = {} if facts.delivery is None else count_by_code(facts.delivery, place.config.id)
    return sum(n for one, (n, _, _) in by_code.items() if code in (None, one))


def _tell(facts: Facts, count_: int, asked: Sequence[int], what: str, *, json: bool) -> None:
    told = answers(facts, asked)
    done = None if told is None else sum(int(one["done"]) for one in told)
    if json:
        print_json({"asked": count_, "resent" if what.endswith("resent") else what: done})
    elif done is not None:
        typer.echo(f"{many(done, 'dead letter')} {what}.")
    if done is None:
        when = "soon: the server is busy" if facts.server_runs else "when `milonga serve` runs"
        note(f"Asked for; {count_:,} will be {what} {when}.")


def _text(file: Path) -> str:
    try:
        body = sys.stdin.buffer.read(MAX_REQUEST + 1) if str(file) == "-" else file.read_bytes()
        return body.decode()
    except OSError as error:
        fail(clean(f"{file} cannot be read: {error.strerror}."))
    except UnicodeDecodeError:
        fail(clean(f"{file} is not UTF-8."))


def _none(ids: Sequence[str]) -> str:
    return clean(f"There is no dead letter with message id {', '.join(ids)}. See `milonga dead list`.")
