"""Whether a command is about a data directory here or a server elsewhere: what the command line says, and no more."""

from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from msgspec import Struct

from milonga.cli.common import data_typed, fail, note

ServerOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="MILONGA_URL",
        metavar="URL",
        help="A server elsewhere, by the address of its console, instead of a data directory here.",
    ),
]
TokenOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="MILONGA_TOKEN_FILE",
        metavar="FILE",
        help="With --server: holds its API token, which may stand in MILONGA_TOKEN instead.",
    ),
]


class Choice(Struct, frozen=True):
    """
    What --server says.

    typed  on the command line, rather than in the environment
    """

    url: str
    token_file: Path | None
    typed: bool


chosen: ContextVar[Choice | None] = ContextVar("server", default=None)


def choose(context: typer.Context, url: str, token_file: Path | None) -> None:
    """What the command line says before the command."""
    source = context.get_parameter_source("server")
    typed = source is not None and source.name == "COMMANDLINE"
    if typed and not url.strip():
        raise typer.BadParameter("It is empty. Name a server, as https://HOST:PORT.", param_hint="--server")
    chosen.set(Choice(url, token_file, typed) if url.strip() else None)


def only_here(command: str) -> None:
    """Say kindly that a command cannot be carried out elsewhere, if it was asked to be."""
    choice = chosen.get()
    if choice is not None and choice.typed:
        fail(f"`milonga {command}` works on a data directory of this machine: leave --server out, or run it there.")


def say_it_is_here(command: str, data: Path) -> None:
    """If the environment names a server elsewhere, and nobody named the directory here that the command works on."""
    if chosen.get() is not None and not data_typed.get():
        note(f"MILONGA_URL is set, but `milonga {command}` works on this machine only: on {data.absolute()}.")
