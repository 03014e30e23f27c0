"""Regulations, as rows."""

from typing import Any

from milonga.outcomes.words import instant
from milonga.privacy.regulation import Regulation
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
