"""Regulations, as rows; and the ids that somebody wrote down for one."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from milonga.outcomes.words import instant
from milonga.privacy.regulation import LONGEST_USER, Regulation
from milonga.spec.values import id_text
from milonga.workspace.errors import UserError
from milonga.workspace.store import Workspace


def as_row(workspace: Workspace, one: Regulation) -> dict[str, Any]:
    names = workspace.sources.names()
    return {
        "id": one.id,
        "kind": one.kind.value,
        "status": one.status.value,
        "source": None if one.source is None else names.get(one.source, f"#{one.source}"),
        "users": one.users,
        "createdAt": instant(one.created_at),
        "deliveryAt": None if one.delivery_at is None else instant(one.delivery_at),
        "endedAt": None if one.ended_at is None else instant(one.ended_at),
        "erased": dict(one.counts),
        "unreadable": list(one.left),
        "trouble": one.trouble,
    }


def ids_in_text(lines: Iterable[str]) -> Iterator[str]:
    """One id a line; an empty line is none. UserError"""
    for line in lines:
        if len(line) > LONGEST_USER + 2:
            raise UserError(f"A line has more than {LONGEST_USER:,} characters: that is no user id.")
        if user := line.rstrip("\r\n"):
            yield user


def ids_in_json(lines: Iterable[str]) -> Iterator[str]:
    """Each as JSON, one a line. UserError"""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            user = id_text(msgspec.json.decode(line))
        except (msgspec.MsgspecError, RecursionError):
            user = None
        if user is None:
            raise UserError(f'Line {number} is no user id in JSON, such as "ada" or 42. Nothing was changed.')
        yield user
