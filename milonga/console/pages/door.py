"""The way in and out: logging in, logging out, and choosing a password by a one-time link."""

import re
from math import ceil
from typing import Final

from starlette.responses import Response

from milonga.console.table import changes, shows
from milonga.console.visit import Visit
from milonga.workspace.audit import failed_login
from milonga.workspace.errors import UserError
from milonga.workspace.passwords import Busy, hashed, is_right, is_weak
from milonga.workspace.people import (
    LONGEST_PASSWORD,
    NAME_RULE,
    SHORTEST_PASSWORD,
    Link,
    User,
    is_name,
    password_problem,
)
from milonga.workspace.roles import Role
from milonga.workspace.users import LinkOver

WRONG: Final = "This name and this password do not go together."
"""Of a name that is nobody's, too, and of somebody who is disabled: it tells nothing about who there is."""

_OURS: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")


# Logging in


def login(visit: Visit) -> Response:
    after = page_of_ours(visit.text("after"))
    if visit.visitor is not None:
        return visit.go(after)
    with visit.workspace() as workspace:
        anybody = bool(workspace.users.all())
    return _login_page(visit, after=after, anybody=anybody)


def log_in(visit: Visit) -> Response:
    name, password, after = visit.text("name"), typed_password(visit, "password"), page_of_ours(visit.text("after"))
    if wait := visit.services.attempts.wait(name, visit.request):
        return _login_page(visit, name, after, too_often(wait), status=429, wait=wait)
    try:
        with visit.workspace() as workspace:
            user, stored = workspace.users.password_of(name)
        if not is_right(stored, password) or user is None or stored is None:
            visit.services.gathering.add(failed_login(name, visit.network))
            return _login_page(visit, name, after, WRONG, status=403)
        visit.services.attempts.succeeded(name, visit.request)
        with visit.workspace() as workspace:
            if is_weak(stored):
                anew = hashed(password)
                workspace.users.rehash(user, stored, anew)
                stored = anew
            workspace.sessions.end(visit.session)  # of whoever used this browser before
        return visit.log_in(after, begun(visit, user, stored))
    except Busy as error:
        return _login_page(visit, name, after, str(error), status=503, wait=2.0)
    except UserError as error:
        return _login_page(visit, name, after, str(error), status=409)


def _login_page(
    visit: Visit,
    name: str = "",
    after: str = "/",
    wrong: str = "",
    *,
    anybody: bool = True,
    status: int = 200,
    wait: float = 0.0,
) -> Response:
    answer = visit.page(
        "door/login.html", {"name": name, "after": after, "wrong": wrong, "anybody": anybody}, status=status
    )
    if wait:
        answer.headers["Retry-After"] = str(ceil(wait))
    return answer


def log_out(visit: Visit) -> Response:
    with visit.workspace() as workspace:
        workspace.sessions.end(visit.session)
    return visit.log_out("/login", "You are logged out.")


# A one-time link


def setup(visit: Visit) -> Response:
    try:
        link = _link(visit)
    except LinkOver:
        return _over(visit)
    return _setup_page(visit, link)


def set_up(visit: Visit) -> Response:
    secret, password = visit.path["token"], typed_password(visit, "password")
    try:
        link = _link(visit)
        name = visit.text("name").strip() if link.user is None else link.user.name
        wrong_name = "" if is_name(name) else f"A name has {NAME_RULE}."
        wrong = password_problem(password, name)
        if wrong or wrong_name:
            return _setup_page(visit, link, name, wrong, wrong_name, status=422)
        stored = hashed(password)
        with visit.workspace() as workspace:
            user = workspace.users.use_link(secret, stored, name)
        session = begun(visit, user, stored)
    except LinkOver:
        return _over(visit)
    except Busy as error:
        return _setup_page(visit, link, name, str(error), status=503)
    said = "Welcome. You are an administrator; invite others under Users." if link.user is None else "Welcome."
    return visit.log_in("/", session, said)


def _link(visit: Visit) -> Link:
    with visit.workspace() as workspace:
        return workspace.users.link(visit.path["token"])


def _setup_page(
    visit: Visit, link: Link, name: str = "", wrong: str = "", wrong_name: str = "", *, status: int = 200
) -> Response:
    values = {"link": link, "name": name, "wrong": wrong, "wrong_name": wrong_name, "shortest": SHORTEST_PASSWORD}
    return visit.page("door/setup.html", values, status=status)


def _over(visit: Visit) -> Response:
    return visit.page("door/over.html", status=404)


# What other pages use, too


def typed_password(visit: Visit, field: str) -> str:
    """One that is too long stays too long: it must not be right by its beginning."""
    return visit.text(field, LONGEST_PASSWORD + 1)


def begun(visit: Visit, user: User, stored: str) -> str:
    """A session for this browser: its secret. UserError if the user may not come in any more."""
    address, agent = visit.services.attempts.address(visit.request), visit.request.headers.get("user-agent", "")
    with visit.workspace() as workspace:
        return workspace.sessions.begin(user, stored, address, agent)


def too_often(wait: float) -> str:
    seconds = ceil(wait)
    time = f"{seconds} second{'' if seconds == 1 else 's'}" if seconds < 100 else f"{ceil(seconds / 60)} minutes"
    return f"Too many attempts have failed. Wait {time}, then try again."


def page_of_ours(text: str) -> str:
    """An address without a host, to go on to; the first page for everything else."""
    return text if _OURS.fullmatch(text) and not text.startswith(("/login", "/logout", "/setup/")) else "/"


PAGES = [
    shows("/login", login, None),
    changes("/login", log_in, None),
    changes("/logout", log_out, Role.viewer),
    shows("/setup/{token}", setup, None),
    changes("/setup/{token}", set_up, None),
]
