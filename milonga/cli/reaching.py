"""Which Milonga a command is about: a data directory here, or a server elsewhere that is asked through its API."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, NoReturn

import typer

from milonga.api.client import Answer, Local, Reach, Remote
from milonga.api.problem import Problem
from milonga.api.remote import Server, server_at
from milonga.cli.choosing import Choice, chosen
from milonga.cli.common import DATA, data_typed, fail, note, nothing_yet, told
from milonga.cli.terminal import clean, print_json
from milonga.facts.directory import exists, must_exist
from milonga.facts.rehearsal import Told
from milonga.workspace.store import Workspace

VARIABLE: Final = "MILONGA_TOKEN"  #: of the environment

_asked: ContextVar[Remote | None] = ContextVar("asked", default=None)
"""The server elsewhere that this command has asked."""


def remote() -> Server | None:
    """Whom to ask, if it is a server elsewhere. Wrong use (exit 2) for an address that is none."""
    choice = chosen.get()
    if choice is None:
        return None
    if data_typed.get():
        if choice.typed:
            raise typer.BadParameter("--data and --server exclude each other.")
        return None
    try:
        return server_at(choice.url, _token(choice))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None


@contextmanager
def reached(
    data: Path | None, *, create: bool = False, tell: Told | None = None, allow_private: bool = False
) -> Iterator[Reach]:
    """
    Problems and UserErrors within are told (exit 1).

    data    the data directory, if no server is named; None: what is asked needs none
    create  make a workspace there if there is none
    tell    is told how far something slow is, here
    allow_private  of a test of a connection from here: it may be to a private address
    """
    server = remote()
    with told():
        try:
            if server is not None:
                _say_if_in_the_clear(server)
                there = Remote(server)
                _asked.set(there)
                yield there
                return
            if data is not None and create:
                _make(data)
            elif data is not None:
                must_exist(data)
            yield Local(data or DATA, tell=tell, allow_private=allow_private)
        except Problem as problem:
            refuse(problem)


def missed(error: Exception) -> NoReturn:
    """
    A command did not find in an answer what it looks for: if a server elsewhere is of another version, that is why, and
    is told (exit 1). Else it is a fault of ours, as it came.
    """
    there = _asked.get()
    if there is None or not there.is_another:
        raise error
    refuse(there.too_different())


def refuse(problem: Problem) -> NoReturn:
    """Line by line: what came from outside must not fake one, but some of our texts have several."""
    said = "\n".join(map(clean, problem.detail.splitlines())) or problem.code
    if problem.code in ("no_token", "unknown_token"):
        said += f"\nThe token comes from {VARIABLE} or --token-file."
    fail(said)


def nothing_there(data: Path, *, json: bool) -> bool:
    """For listings: whether there is no workspace yet, which is told and no error. A server has one."""
    nothing = remote() is None and nothing_yet(data)
    if nothing and json:
        print_json([])
    return nothing


def say(answer: Answer) -> None:
    """What is worth knowing besides."""
    for one in answer.notes:
        note("\n".join(map(clean, one.splitlines())))


def _make(data: Path) -> None:
    """A workspace, if there is none. Where a new one is, is told: by default that depends on the folder one is in."""
    new = not exists(data)
    Workspace.open(data).close()
    if new:
        note(f"New workspace: {data.absolute()}. From other folders, name it with --data or MILONGA_DATA.")


def _token(choice: Choice) -> str:
    if choice.token_file is None:
        return os.environ.get(VARIABLE, "").strip()
    try:
        return choice.token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is no text"
        raise typer.BadParameter(f"{choice.token_file} cannot be read: {said}.", param_hint="--token-file") from None


def _say_if_in_the_clear(server: Server) -> None:
    if server.in_the_clear and server.token:
        note(f"{server.url}: the token goes there in the clear. Use https wherever others may read along.")
