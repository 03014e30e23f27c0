"""API tokens: what programs come in with. For administrators."""

from typing import Final

from starlette.responses import Response

from milonga.console.pages.users import ROLES
from milonga.console.table import changes, shows
from milonga.console.visit import Visit
from milonga.workspace.commands import milliseconds
from milonga.workspace.errors import UserError
from milonga.workspace.people import NAME_RULE, is_name
from milonga.workspace.roles import Role

LASTS: Final = (("30", "30 days"), ("90", "90 days"), ("365", "A year"), ("", "Until it is revoked"))


def page(visit: Visit, *, wrong: str = "", status: int = 200) -> Response:
    with visit.workspace() as workspace:
        tokens = workspace.tokens.all()
    values = {
        "tokens": tokens,
        "now": milliseconds(),
        "roles": ROLES,
        "lasts": LASTS,
        "name": visit.text("name"),
        "role": visit.text("role") or Role.viewer.value,
        "days": visit.text("days") if "days" in visit.form else "90",
        "wrong": wrong,
    }
    return visit.page("tokens/page.html", values, status=status)


def create(visit: Visit) -> Response:
    name, days = visit.text("name").strip(), visit.number("days", 0, 1, 3_650)
    if not is_name(name):
        return page(visit, wrong=f"A name has {NAME_RULE}.", status=422)
    role = next((one for one in Role if one.value == visit.text("role")), None)
    if role is None:
        raise UserError("There is no such role: viewer, editor or administrator.")
    try:
        with visit.workspace() as workspace:
            token, shown = workspace.tokens.create(name, role, days or None, by=visit.by)
    except UserError as error:
        return page(visit, wrong=str(error), status=409)
    return visit.page("tokens/new.html", {"token": token, "shown": shown})


def revoke(visit: Visit) -> Response:
    name = visit.text("name")
    with visit.workspace() as workspace:
        workspace.tokens.revoke(name, by=visit.by)
    return visit.go("/tokens", f"{name} is revoked: it lets nothing in any more.")


PAGES = [
    shows("/tokens", page, Role.administrator),
    changes("/tokens", create, Role.administrator),
    changes("/tokens/revoke", revoke, Role.administrator),
]
