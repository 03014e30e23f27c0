"""A destination's history, as JSON: its states and its settings, who changed what, from which value to which."""

from typing import Any

from msgspec import to_builtins

from milonga.outcomes.words import instant
from milonga.workspace.model import SettingsVersion, StateChange
from milonga.workspace.store import Workspace


def history(workspace: Workspace, destination: int, *, before: int | None = None, limit: int | None = None) -> Any:
    """
    Oldest first, secrets as ***, of a removed one too.

    before  only the first so many entries, so that a page can go on where another ended; all unless given
    limit   the newest of those, at most; all unless given
    """
    entries = workspace.history(destination)[:before]
    page = entries[-limit:] if limit else entries
    versions = [one.version for one in page if isinstance(one, SettingsVersion)]
    told = (
        workspace.settings_changes(destination, before=max(versions) + 1, limit=max(versions) - min(versions) + 1)
        if versions
        else ()
    )
    changes = {one.version: to_builtins(one.changes) for one in told}
    return [_entry(one, changes) for one in page]


def _entry(entry: StateChange | SettingsVersion, changes: dict[int, Any]) -> dict[str, Any]:
    if isinstance(entry, StateChange):
        return {
            "at": instant(entry.at),
            "by": entry.by,
            "what": "state",
            "state": entry.state.value,
            "reason": entry.reason,
        }
    return {
        "at": instant(entry.at),
        "by": entry.by,
        "what": "settings",
        "version": entry.version,
        "changed": list(entry.changed),
        "changes": changes[entry.version],
    }
