"""Users of the console, API tokens, and what the audit log tells of all changes, as rows."""

from typing import Any

from milonga.outcomes.words import instant
from milonga.workspace.audit import Entry
from milonga.workspace.people import Token, User


def user_row(one: User) -> dict[str, Any]:
    state = "disabled" if one.disabled else "invited" if one.invited else "active"
    return {"name": one.name, "role": one.role.value, "state": state, "createdAt": instant(one.created_at)}


def token_row(one: Token) -> dict[str, Any]:
    return {
        "name": one.name,
        "role": one.role.value,
        "begins": one.begins,
        "createdAt": instant(one.created_at),
        "createdBy": one.created_by,
        "endsAt": None if one.ends_at is None else instant(one.ends_at),
        "usedAt": None if one.used_at is None else instant(one.used_at),
    }


def audit_row(one: Entry) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": instant(one.at),
        "by": one.by,
        "what": one.what,
        "name": one.name,
        "changes": {field: {"before": before, "after": after} for field, (before, after) in one.changes.items()},
    }
