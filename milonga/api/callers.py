"""Whose a token is."""

from pathlib import Path

from milonga.api.route import Caller
from milonga.workspace.store import Workspace


def who(data: Path, token: str) -> Caller | None:
    """None if it is in force nowhere."""
    with Workspace.open(data) as workspace:
        found = workspace.tokens.find(token)
    return None if found is None else Caller(found.by, found.role)


def was_of(data: Path, token: str) -> str:
    """The name of one whose time is over; "" if nobody has it, or it was revoked."""
    with Workspace.open(data) as workspace:
        return workspace.tokens.name_of(token)
