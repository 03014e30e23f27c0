"""What all commands share: --data and --json, errors in words, tables, and reaching the workspace."""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn, TypeAlias

import apsw
import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from milonga.eventlog.reader import SqliteLogReader
from milonga.workspace import database
from milonga.workspace.errors import UserError
from milonga.workspace.store import Workspace

DATA = Path("milonga-data")  #: the default of every command
LOG_FOLDER = "log"  #: in the data directory

DataOption: TypeAlias = Annotated[Path, typer.Option("--data", envvar="MILONGA_DATA", help="Data directory.")]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

IN_FORCE = "In force within 5 seconds in a running server."


def fail(message: str) -> NoReturn:
    """Refused or failed: say why and what to do, exit 1."""
    typer.echo(f"milonga: {message}", err=True)
    raise typer.Exit(1)


def note(message: str) -> None:
    """Worth knowing, on stderr: what a machine reads from stdout stays clean."""
    typer.echo(message, err=True)


def print_json(value: object) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their content; to a terminal folded to its width, elsewhere never."""
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # Made anew each time: tests and pipes exchange sys.stdout.
    Console(width=None if sys.stdout.isatty() else 10_000, highlight=False).print(table)


def when(milliseconds: int) -> str:
    """Unix milliseconds for people."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@contextmanager
def told() -> Iterator[None]:
    """A UserError within ends the command in words."""
    try:
        yield
    except UserError as error:
        fail(str(error))


@contextmanager
def opened(data: Path, *, create: bool = False) -> Iterator[Workspace]:
    """
    The workspace of a data directory, UserErrors told.

    create  make one if there is none; else that is an error, so that a mistyped --data is noticed
    """
    with told():
        if not create and not exists(data):
            raise UserError(
                f"There is no workspace in {data}. Is that the right directory (--data, MILONGA_DATA)? "
                "The first one is made by: milonga sources add NAME"
            )
        with Workspace.open(data) as workspace:
            yield workspace


def exists(data: Path) -> bool:
    return (data / database.NAME).exists()


def ask(question: str, *, yes: bool) -> None:
    """Exit 1 unless a person agrees. Without a terminal nobody is there to ask: whoever wrote the script meant it."""
    if yes or not sys.stdin.isatty():
        return
    if not typer.confirm(question, err=True):
        fail("Nothing was changed.")


def log_end(data: Path) -> dict[int, int]:
    """The log's newest offset of each partition; 0 while there is no log. UserError if it cannot be read."""
    return asyncio.run(_log_end(data / LOG_FOLDER))


async def _log_end(folder: Path) -> dict[int, int]:
    reader = SqliteLogReader(folder)
    try:
        return {partition: await reader.end(partition) for partition in reader.assignments("cli")}
    except (OSError, apsw.Error) as error:
        raise UserError(f"The log in {folder} cannot be read: {error}. Nothing was changed.") from error
    finally:
        await reader.close()
