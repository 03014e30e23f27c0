"""Your own account: another password, and where you are logged in."""

from starlette.responses import Response

from milonga.console.agents import in_words
from milonga.console.lines import PASSWORDS
from milonga.console.pages.door import begun, too_often, typed_password
from milonga.console.table import changes, shows
from milonga.console.visit import Visit
from milonga.workspace.audit import failed_login
from milonga.workspace.errors import UserError
from milonga.workspace.passwords import Busy, hashed, is_right
from milonga.workspace.people import SHORTEST_PASSWORD, User, password_problem
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace

IS_WRONG = "This is not your present password."


def page(visit: Visit, *, present: str = "", wrong: str = "", status: int = 200) -> Response:
    """present, wrong  what is wrong with the present and with the new password"""
    with visit.workspace() as workspace:
        user = _user(visit, workspace)
        sessions = [(one, in_words(one.agent), one.id == _number(visit)) for one in workspace.sessions.of(user)]
    values = {"user": user, "sessions": sessions, "present": present, "wrong": wrong, "shortest": SHORTEST_PASSWORD}
    return visit.page("you/page.html", values, status=status)


def change_password(visit: Visit) -> Response:
    present, password = typed_password(visit, "present"), typed_password(visit, "password")
    with visit.workspace() as workspace:
        user = _user(visit, workspace)
        _, stored = workspace.users.password_of(user.name)
    if problem := password_problem(password, user.name):
        return page(visit, wrong=problem, status=422)
    if wait := visit.services.attempts.wait(user.name, visit.request):
        return page(visit, present=too_often(wait), status=429)
    try:
        if not is_right(stored, present) or stored is None:
            visit.services.gathering.add(failed_login(user.name, visit.network))
            return page(visit, present=IS_WRONG, status=422)
        visit.services.attempts.succeeded(user.name, visit.request)
        anew = hashed(password)
        with visit.workspace() as workspace:
            workspace.users.change_password(user, stored, anew)
    except Busy as error:
        return page(visit, present=str(error), status=503)
    said = "Your password is changed. You are logged out everywhere else."
    return visit.log_in("/you", begun(visit, user, anew), said)


def end_session(visit: Visit) -> Response:
    with visit.workspace() as workspace:
        workspace.sessions.end_one(_user(visit, workspace), visit.number("session", 0, 0, 2**62))
    return visit.go("/you", "That session is logged out.")


def end_others(visit: Visit) -> Response:
    with visit.workspace() as workspace:
        ended = workspace.sessions.end_others(_user(visit, workspace), visit.session)
    return visit.go("/you", f"{ended} other session{' is' if ended == 1 else 's are'} logged out.")


def _user(visit: Visit, workspace: Workspace) -> User:
    if visit.visitor is None:  # the table of pages lets no stranger come here
        raise UserError("Log in first.")
    return workspace.users.named(visit.visitor.name)


def _number(visit: Visit) -> int:
    return 0 if visit.visitor is None else visit.visitor.session


PAGES = [
    shows("/you", page),
    changes("/you/password", change_password, Role.viewer, line=PASSWORDS),
    changes("/you/sessions/end", end_session, Role.viewer),
    changes("/you/sessions/end-others", end_others, Role.viewer),
]
