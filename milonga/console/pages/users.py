"""Who may use the console: inviting, roles, new passwords, and the way out. For administrators."""

from collections.abc import Callable
from typing import Final

from starlette.responses import Response

from milonga.console.pages.audit import rows_of
from milonga.console.table import changes, shows
from milonga.console.visit import Visit, address
from milonga.workspace.errors import UserError
from milonga.workspace.people import NAME_RULE, User, is_name
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace

ROLES: Final = (
    (Role.viewer.value, "Viewer: sees everything but secrets"),
    (Role.editor.value, "Editor: also changes sources and destinations, resends, replays"),
    (Role.administrator.value, "Administrator: also decides about users, tokens and regulations"),
)
"""For people to choose from."""


def page(visit: Visit) -> Response:
    return _list(visit)


def _list(
    visit: Visit, *, name: str = "", role: str = Role.viewer.value, wrong: str = "", status: int = 200
) -> Response:
    with visit.workspace() as workspace:
        users = [(user, state_of(user)) for user in workspace.users.all()]
    values = {"users": users, "roles": ROLES, "name": name, "role": role, "wrong": wrong}
    return visit.page("users/page.html", values, status=status)


def add(visit: Visit) -> Response:
    name, role = visit.text("name").strip(), visit.text("role")
    if not is_name(name):
        return _list(visit, name=name, role=role, wrong=f"A name has {NAME_RULE}.", status=422)
    try:
        with visit.workspace() as workspace:
            user, secret = workspace.users.add(name, _role(role), by=visit.by)
    except UserError as error:
        return _list(visit, name=name, role=role, wrong=str(error), status=409)
    return _link_page(visit, user, secret, f"{user.name} is invited")


def one(visit: Visit) -> Response:
    with visit.workspace() as workspace:
        user = workspace.users.named(visit.path["name"])
        done = workspace.audit.page(10, by=user.by, without="session")
        rows = rows_of(workspace, done)
        tokens = [one.name for one in workspace.tokens.all() if one.created_by == user.by]
    own = visit.visitor is not None and visit.visitor.name == user.name
    values = {
        "user": user,
        "state": state_of(user),
        "roles": ROLES,
        "rows": rows,
        "own": own,
        "tokens": tokens,
    }
    return visit.page("users/one.html", values)


def set_role(visit: Visit) -> Response:
    def change(workspace: Workspace, name: str) -> str:
        return f"{name} is {workspace.users.set_role(name, _role(visit.text('role')), by=visit.by).role} now."

    return _change(visit, change)


def disable(visit: Visit) -> Response:
    def change(workspace: Workspace, name: str) -> str:
        workspace.users.set_disabled(name, disabled=True, by=visit.by)
        return f"{name} is disabled, and logged out."

    return _change(visit, change)


def enable(visit: Visit) -> Response:
    def change(workspace: Workspace, name: str) -> str:
        workspace.users.set_disabled(name, disabled=False, by=visit.by)
        return f"{name} may log in again."

    return _change(visit, change)


def reset(visit: Visit) -> Response:
    with visit.workspace() as workspace:
        user, secret = workspace.users.reset(visit.path["name"], by=visit.by)
    return _link_page(visit, user, secret, f"A link for {user.name}")


def remove(visit: Visit) -> Response:
    def change(workspace: Workspace, name: str) -> str:
        workspace.users.remove(name, by=visit.by)
        return f"{name} is removed."

    return _change(visit, change, to="/users")


def _change(visit: Visit, change: Callable[[Workspace, str], str], to: str = "") -> Response:
    """Do it, and go back to that user's page unless told otherwise. Whoever changed himself is logged out by it."""
    with visit.workspace() as workspace:
        user = workspace.users.named(visit.path["name"])
        said = change(workspace, user.name)
    return visit.go(to or address("/users/{}", [user.name]), said)


def _link_page(visit: Visit, user: User, secret: str, title: str) -> Response:
    """The only page that ever shows it."""
    link = f"{visit.origin}/setup/{secret}"
    return visit.page("users/link.html", {"user": user, "link": link, "title": title})


def state_of(user: User) -> str:
    """In a word."""
    return "disabled" if user.disabled else "invited" if user.invited else "active"


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise UserError("There is no such role: viewer, editor or administrator.") from None


PAGES = [
    shows("/users", page, Role.administrator),
    changes("/users", add, Role.administrator),
    shows("/users/{name}", one, Role.administrator),
    changes("/users/{name}/role", set_role, Role.administrator),
    changes("/users/{name}/disable", disable, Role.administrator),
    changes("/users/{name}/enable", enable, Role.administrator),
    changes("/users/{name}/reset", reset, Role.administrator),
    changes("/users/{name}/remove", remove, Role.administrator),
]
