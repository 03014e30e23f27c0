"""`milonga regulations`: users of whom nothing more is kept, and users who are deleted."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from milonga.api.client import Reach, rows
from milonga.cli.asking import runs
from milonga.cli.common import DATA, DataOption, JsonOption, YesOption, ask, note
from milonga.cli.reaching import reached
from milonga.cli.terminal import Column, clean, many, print_json, print_rows
from milonga.facts.regulations import ids_in_json, ids_in_text
from milonga.privacy.regulation import MOST_USERS, Kind
from milonga.workspace.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Suppress and delete users.")

PATIENCE = 6.0  #: seconds to wait for a running server, unless told otherwise

Users = Annotated[list[str] | None, typer.Argument(metavar="USER_ID", help="User ids, as events have them.")]
FileOption = Annotated[
    Path | None, typer.Option("--file", "-f", help="A file with one user id a line; - is standard input.")
]
JsonLinesOption = Annotated[
    Path | None,
    typer.Option(
        "--json-lines",
        metavar="FILE",
        help='Likewise, each id as JSON ("ada\\u0000" or 42): for ids with line ends or signs that no text file holds.',
    ),
]
SourceOption = Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only at this one. Default: all.")]
WaitOption = Annotated[float, typer.Option("--wait", metavar="SECONDS", help="Wait so long for its end.", min=0)]

COLUMNS = (
    Column("id"),
    Column("createdAt", time=True),
    Column("kind"),
    Column("status"),
    Column("source", least=8, drop=2),
    Column("users"),
    Column("endedAt", time=True, drop=1),
)


#: What a count is of, where its name does not say it. A segment is written anew, without what was erased.
COUNTED = {
    "deadLetters": "dead letter",
    "parkedCopies": "parked event",
    "editedCopies": "edited event",
    "segments": "rewritten segment",
}


def _creating(kind: Kind) -> Callable[..., None]:
    """The command for one that deletes nothing."""

    def create(
        users: Users = None,
        file: FileOption = None,
        json_lines: JsonLinesOption = None,
        source: SourceOption = None,
        wait: WaitOption = PATIENCE,
        data: DataOption = DATA,
        json: JsonOption = False,
    ) -> None:
        _create(data, kind, users, (file, json_lines), source, wait, json=json)

    return create


app.command(
    "suppress", help="Keep nothing more of these users: their events are answered 200, counted, and thrown away."
)(_creating(Kind.suppress_only))
app.command("unsuppress", help="Take their events again.")(_creating(Kind.unsuppress))


@app.command()
def delete(
    users: Users = None,
    file: FileOption = None,
    json_lines: JsonLinesOption = None,
    source: SourceOption = None,
    also_suppress: Annotated[
        bool, typer.Option("--suppress", help="And keep nothing more of them from now on.")
    ] = False,
    wait: WaitOption = PATIENCE,
    data: DataOption = DATA,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Erase what is stored of these users, and send nothing more of it. Destinations are not told."""
    kind = Kind.suppress_with_delete_internal if also_suppress else Kind.delete_internal
    _create(data, kind, users, (file, json_lines), source, wait, json=json, yes=yes)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000)] = 100,
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """List regulations, the newest first."""
    with reached(data) as milonga:
        answer = rows(milonga, "listRegulations", {}, limit)
    print_rows(COLUMNS, answer.data, "There are no regulations.", json=json)
    if not json:
        typer.echo(f"Suppressed now: {answer.page['suppressed']:,}.")


@app.command()
def show(
    number: Annotated[int, typer.Argument(metavar="ID", help="As `milonga regulations list` shows it.")],
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Show how far a regulation is, and what it erased."""
    with reached(data) as milonga:
        row = milonga.ask("getRegulation", {"regulation": number}).data
    _tell(row, json=json)


@app.command()
def suppressed(
    user: Annotated[str, typer.Argument(metavar="USER_ID", help="As events have it.")],
    data: DataOption = DATA,
    json: JsonOption = False,
) -> None:
    """Say whether a user is suppressed, and by which regulation. The ids themselves are not kept."""
    with reached(data) as milonga:
        found = milonga.ask("listSuppressions", query={"user": user}).data
    if json:
        print_json(found)
        return
    for row in found:
        where = "all sources" if row["source"] is None else f"source {row['source']}"
        typer.echo(clean(f"{user} is suppressed at {where} by regulation {row['regulation']}."))
    if not found:
        typer.echo(clean(f"{user} is not suppressed."))


def _create(
    data: Path,
    kind: Kind,
    users: Sequence[str] | None,
    files: tuple[Path | None, Path | None],
    source: str | None,
    wait: float,
    *,
    json: bool,
    yes: bool = True,
) -> None:
    if [bool(users), *(file is not None for file in files)].count(True) != 1:
        raise typer.BadParameter("Name user ids, or --file, or --json-lines.")
    with reached(data) as milonga:
        wanted = list(dict.fromkeys(users or _read(*files)))
        if kind.deletes:
            ask(f"Erase everything of {many(len(wanted), 'user')} for good?", yes=yes, for_good=True)
        bodies = [{"kind": kind.value, "users": some, "source": source} for some in _in_parts(wanted) or [[]]]
        made = [milonga.ask("createRegulation", body=body).data["id"] for body in bodies]
        running = runs(milonga)
        found = _wait(milonga, made, wait if running else 0.0)
    if json:
        print_json(found)
    else:
        for row in found:
            _tell(row, json=False)
    if kind.deletes:
        note("Destinations keep what they were sent, and backups what is in them: have it erased there, too.")
    if any(row["endedAt"] is None for row in found):
        when = (
            "it is under way; see `milonga regulations show ID`" if running else "it is done when `milonga serve` runs"
        )
        note(f"Not finished yet: {when}.")


def _wait(milonga: Reach, ids: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    while True:
        found = [milonga.ask("getRegulation", {"regulation": number}).data for number in ids]
        if all(one["endedAt"] is not None for one in found) or time.monotonic() >= deadline:
            return found
        time.sleep(0.1)


def _read(file: Path | None, json_lines: Path | None) -> Iterator[str]:
    """One id a line; an empty line is none. UserError if it cannot be read."""
    path, ids = (json_lines, ids_in_json) if json_lines is not None else (file, ids_in_text)
    assert path is not None  # noqa: S101 - whoever calls has looked
    try:
        if str(path) == "-":
            yield from ids(sys.stdin)
        else:
            with path.open(encoding="utf-8", newline="\n") as lines:
                yield from ids(lines)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. Nothing was changed.") from error
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8. Nothing was changed.") from None


def _in_parts(users: Sequence[str]) -> list[list[str]]:
    rest = iter(users)
    return list(iter(lambda: list(islice(rest, MOST_USERS)), []))


def _tell(row: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(row)
        return
    where = "all sources" if row["source"] is None else f"source {row['source']}"
    typer.echo(f"Regulation {row['id']}: {row['kind']}, {many(row['users'], 'user')}, {where}: {row['status']}")
    if row["erased"]:
        erased = [many(n, COUNTED.get(name, name.removesuffix("s"))) for name, n in row["erased"].items()]
        typer.echo(f"  erased: {', '.join(erased)}")
    if row["unreadable"]:
        typer.echo(clean(f"  cannot be read, and may still hold something: {', '.join(row['unreadable'])}"))
        typer.echo("  Delete them once you need them no more.")
    if row["trouble"]:
        typer.echo(clean(f"  does not get on: {row['trouble']}"))
