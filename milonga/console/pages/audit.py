"""
The audit log: who changed what, from which value to which, who came in and who failed to, who exported or read events.
For administrators.
"""

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from milonga.console.recorded import Declared, told
from milonga.console.table import shows
from milonga.console.visit import Visit, address
from milonga.outcomes.words import person
from milonga.workspace.audit import KEPT, Entry
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace

AT_ONCE: Final = 50  #: rows of a page
THINGS: Final = ("source", "destination", "command", "regulation", "user", "token", "session", "export")
DEEDS: Final = {
    "source.added": "Source added",
    "source.settings": "Source settings changed",
    "source.removed": "Source removed",
    "source.key_added": "Write key added",
    "source.key_removed": "Write key removed",
    "source.key_end": "Write key given an end",
    "source.keys_rotated": "Write keys exchanged",
    "destination.added": "Destination added",
    "destination.settings": "Destination settings changed",
    "destination.state": "Destination switched",
    "destination.removed": "Destination removed",
    "regulation.created": "Regulation asked for",
    "user.added": "User added",
    "user.role": "User given another role",
    "user.disabled": "User disabled",
    "user.enabled": "User enabled",
    "user.link": "One-time link made",
    "user.password": "Password chosen",
    "user.removed": "User removed",
    "session.begun": "Logged in",
    "session.ended": "Logged out",
    "session.failed": "Failed to log in",
    "token.created": "API token created",
    "token.revoked": "API token revoked",
    "token.refused": "API token refused",
    "export.dead_letters": "Dead letters exported",
    "export.skipped": "Skipped events exported",
    "export.parked": "Parked events exported",
    "export.events": "Events read",
    "export.discarded": "Discarded events read",
    "command.resend": "Dead letters resent",
    "command.discard": "Dead letters discarded",
    "command.replay": "Replay asked for",
    "command.set_replay": "Replay held, resumed or ended",
    "command.edit": "Dead letter edited and resent",
    "command.parked_edit": "Parked event edited",
    "command.parked_retry": "Parked events tried at once",
    "command.parked_skip": "Parked events skipped",
    "command.parked_release": "Parked events released",
}
WHERE: Final = {
    "source": "/sources/{}",
    "destination": "/destinations/{}",
    "command": "/destinations/{}",
    "user": "/users/{}",
    "regulation": "/regulations/{}",
    "session": "/users/{}",
    "export": "/destinations/{}",
}


def page(visit: Visit) -> Response:
    by, what, name = visit.text("by"), visit.text("what"), visit.text("name").strip()
    before = _cursor(visit.text("before"))
    with visit.workspace() as workspace:
        found = workspace.audit.page(AT_ONCE + 1, before=before, by=by, what=what, name=name)
        who = workspace.audit.who()
        shown = found[:AT_ONCE]
        rows = rows_of(workspace, shown)
    values = {
        "rows": rows,
        "who": [("", "anybody"), *((one, person(one)) for one in who)],
        "things": [("", "anything"), *((one, f"{one}s") for one in THINGS)],
        "by": by,
        "what": what,
        "name": name,
        "days": KEPT // 86_400_000,
        "older": visit.here(before=f"{shown[-1].at}-{shown[-1].id}") if len(found) > AT_ONCE else None,
        "newer": visit.here(before=None) if before else None,
    }
    return visit.page("audit/page.html", values)


def rows_of(workspace: Workspace, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """As audit/table.html takes them."""
    declared = _declared(workspace, entries)
    return [
        {
            "at": entry.at,
            "by": person(entry.by),
            "deed": DEEDS.get(entry.what, entry.what.replace(".", ": ").replace("_", " ")),
            "what": entry.what,
            "name": entry.name,
            "where": _where(entry),
            "changes": told(entry, declared),
        }
        for entry in entries
    ]


def _declared(workspace: Workspace, entries: Sequence[Entry]) -> Declared:
    if not any(entry.what == "destination.settings" for entry in entries):
        return Declared(workspace.kinds)
    named = {one.name: [one.kind] for one in workspace.destinations()}
    for former in reversed(workspace.former_destinations()):
        named.setdefault(former.name, []).append(former.kind)
    return Declared(workspace.kinds, named)


def _where(entry: Entry) -> str:
    path = WHERE.get(entry.what.partition(".")[0])
    gone = entry.what.endswith(".removed")
    return address(path, [entry.name]) if path and entry.name and not gone else ""


def _cursor(text: str) -> tuple[int, int] | None:
    at, _, number = text.partition("-")
    good = all(one.isascii() and one.isdigit() and len(one) < 19 for one in (at, number))
    return (int(at), int(number)) if good else None


PAGES = [shows("/audit", page, Role.administrator)]
