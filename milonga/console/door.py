"""Who is who: from the cookie of a session to the person."""

from pathlib import Path

from milonga.console.visit import Visitor
from milonga.workspace.people import csrf_of
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace


class WorkspaceDoor:
    """As the workspace of a data directory knows its people."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def visitor(self, cookie: str | None, *, touch: bool = True) -> Visitor | None:
        if not cookie:
            return None
        with Workspace.open(self._data) as workspace:
            session = workspace.sessions.find(cookie, touch=touch)
            if session is None:
                return None
            role = session.user.role
            hidden = () if role.may(Role.editor) else workspace.write_keys.secret()
        return Visitor(name=session.user.name, role=role, csrf=csrf_of(cookie), session=session.id, hidden=hidden)
