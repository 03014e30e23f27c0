"""What all commands share: --data and --json, errors in words, and reaching the workspace."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, NoReturn, TypeAlias

import typer

from milonga.eventlog.record import UnknownFormat
from milonga.facts.directory import exists, must_exist
from milonga.facts.facts import Facts, open_facts
from milonga.workspace.errors import UserError
from milonga.workspace.store import Workspace

DATA = Path("milonga-data")  #: the default of every command


def data_directory(given: str | Path) -> Path:
    """Wrong use (exit 2) if nothing is given: an empty variable in a script must not mean the directory one is in."""
    if not str(given):
        raise typer.BadParameter("It is empty. Name a directory.")
    return Path(given)


def an_id(given: str) -> str:
    """Wrong use (exit 2) if nothing is given: an empty variable in a script is no id that is not kept."""
    if not given.strip():
        raise typer.BadParameter("It is empty. Name an id.")
    return given


data_typed: ContextVar[bool] = ContextVar("data_typed", default=False)
"""Whether the command line names a data directory, rather than the environment or nobody."""


def _typed(context: typer.Context, parameter: typer.CallbackParam, value: Path) -> Path:
    source = context.get_parameter_source(parameter.name or "")
    data_typed.set(source is not None and source.name == "COMMANDLINE")
    return value


DataOption: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="MILONGA_DATA",
        parser=data_directory,
        callback=_typed,
        metavar="DIR",
        help="Data directory.",
    ),
]
UnusedDataOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="MILONGA_DATA",
        parser=data_directory,
        metavar="DIR",
        help="Taken by every command, not needed by this one.",
    ),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

IN_FORCE = "In force within 5 seconds in a running server."
NO_SERVER = "No server is running on this data directory"


def fail(message: str) -> NoReturn:
    """Refused or failed: say why and what to do, exit 1."""
    typer.echo(f"milonga: {message}", err=True)
    raise typer.Exit(1)


def note(message: str) -> None:
    """Worth knowing, on stderr: what a machine reads from stdout stays clean."""
    typer.echo(message, err=True)


@contextmanager
def told() -> Iterator[None]:
    """A UserError within, or a log that a newer Milonga wrote, ends the command in words."""
    try:
        yield
    except (UserError, UnknownFormat) as error:
        fail(str(error))


@contextmanager
def opened(data: Path, *, create: bool = False) -> Iterator[Workspace]:
    """
    The workspace of a data directory, UserErrors told.

    create  make one if there is none; else that is an error, so that a mistyped --data is noticed
    """
    with told():
        if not create:
            must_exist(data)
        with Workspace.open(data) as workspace:
            yield workspace


@contextmanager
def facts_of(data: Path) -> Iterator[Facts]:
    """For one command. UserErrors within are told, and which outcomes are missing."""
    with told(), open_facts(data) as facts:
        try:
            yield facts
        finally:
            for name, error in facts.outcomes.unreadable.items():
                note(f"Outcomes are missing: outcomes/{name} cannot be read ({error}). `milonga check` tells more.")


def nothing_yet(data: Path) -> bool:
    """For listings: whether there is no workspace yet, which is told and no error."""
    with told():
        there = exists(data)
    if not there:
        note(
            f"There is no workspace in {data.absolute()} yet. Is yours elsewhere? Name it with --data or MILONGA_DATA. "
            "A new one is made in this place by: milonga sources add NAME"
        )
    return not there


def ask(question: str, *, yes: bool, for_good: bool = False) -> None:
    """
    Exit 1 unless a person agrees.

    for_good  it cannot be taken back: where nobody can be asked, --yes must say so. Else whoever wrote the script
              meant it
    """
    if yes:
        return
    if not sys.stdin.isatty():
        if for_good:
            fail(f"{question} Nobody is here to answer: say so with --yes. Nothing was changed.")
        return
    if not typer.confirm(question, err=True):
        fail("Nothing was changed.")
