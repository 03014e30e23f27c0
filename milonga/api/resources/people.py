"""Users of the console, API tokens, and the audit log."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from milonga.api import paging, shapes
from milonga.api.problem import Problem
from milonga.api.route import USUAL, Asked, Count, Cursor, Listed, NoQuery, PageQuery, Route
from milonga.facts.people import audit_row, token_row, user_row
from milonga.workspace.people import User
from milonga.workspace.roles import Role
from milonga.workspace.tokens import LONGEST_LIFE
from milonga.workspace.users import LINK_LASTS


class NewUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who chooses a password by a one-time link."""

    name: str
    role: Role


class UserChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes; the user is signed out everywhere."""

    role: Role | None = None
    disabled: bool | None = None


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """days: after which it lets nobody in any more; until it is revoked, unless given."""

    name: str
    role: Role
    days: Annotated[int, Meta(ge=1, le=LONGEST_LIFE)] | None = None


class AuditQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Newest first. by: as a row has it. what: "source.added", or "source" for all about sources."""

    count: Count = USUAL
    cursor: Cursor = ""
    by: str = ""
    what: str = ""
    name: str = ""


def list_users(asked: Asked[PageQuery, None]) -> Listed:
    query = asked.query
    return paging.of_all(asked.workspace.users.all(), lambda one: (0, one.id), query.cursor, query.count, user_row)


def add_user(asked: Asked[NoQuery, NewUser]) -> dict[str, Any]:
    body = asked.body
    return _invited(*asked.workspace.users.add(body.name, body.role, by=asked.caller.name))


def show_user(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    return user_row(asked.workspace.users.named(asked.names["user"]))


def change_user(asked: Asked[NoQuery, UserChange]) -> dict[str, Any]:
    users, body, name, by = asked.workspace.users, asked.body, asked.names["user"], asked.caller.name
    if body.role is None and body.disabled is None:
        raise Problem(422, "invalid_body", "Name one of: role, disabled.")
    if body.role is not None:
        users.set_role(name, body.role, by=by)
    if body.disabled is not None:
        users.set_disabled(name, body.disabled, by=by)
    return user_row(users.named(name))


def remove_user(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    name = asked.names["user"]
    asked.workspace.users.remove(name, by=asked.caller.name)
    return {"removed": name}


def make_link(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    return _invited(*asked.workspace.users.reset(asked.names["user"], by=asked.caller.name))


def list_tokens(asked: Asked[PageQuery, None]) -> Listed:
    query = asked.query
    return paging.of_all(asked.workspace.tokens.all(), lambda one: (0, one.id), query.cursor, query.count, token_row)


def create_token(asked: Asked[NoQuery, NewToken]) -> dict[str, Any]:
    body = asked.body
    made, shows = asked.workspace.tokens.create(body.name, body.role, body.days, by=asked.caller.name)
    return token_row(made) | {"token": shows}


def revoke_token(asked: Asked[NoQuery, None]) -> dict[str, Any]:
    name = asked.names["token"]
    asked.workspace.tokens.revoke(name, by=asked.caller.name)
    return {"revoked": name}


def list_audit(asked: Asked[AuditQuery, None]) -> Listed:
    query = asked.query
    before = paging.place(query.cursor, tuple[int, int])
    found = asked.workspace.audit.page(query.count + 1, before=before, by=query.by, what=query.what, name=query.name)
    return paging.page(found, query.count, lambda one: (one.at, one.id), audit_row)


def _invited(user: User, secret: str) -> dict[str, Any]:
    """Told once: whoever opens the link chooses the password."""
    return user_row(user) | {"path": f"/setup/{secret}", "minutes": LINK_LASTS // 60_000}


ROUTES: Final = (
    Route(
        method="GET",
        path="/users",
        role=Role.administrator,
        name="listUsers",
        summary="List the users of the console.",
        query=PageQuery,
        answer=shapes.User,
        listed=True,
        handle=list_users,
    ),
    Route(
        method="POST",
        path="/users",
        role=Role.administrator,
        name="createUser",
        summary="Add a user; the answer has a one-time link by which that one chooses a password.",
        body=NewUser,
        answer=shapes.InvitedUser,
        status=201,
        handle=add_user,
    ),
    Route(
        method="GET",
        path="/users/{user}",
        role=Role.administrator,
        name="getUser",
        summary="One user.",
        answer=shapes.User,
        handle=show_user,
    ),
    Route(
        method="PATCH",
        path="/users/{user}",
        role=Role.administrator,
        name="updateUser",
        summary="Give a user another role, disable or enable one.",
        body=UserChange,
        answer=shapes.User,
        handle=change_user,
    ),
    Route(
        method="DELETE",
        path="/users/{user}",
        role=Role.administrator,
        name="removeUser",
        summary="Remove a user, who is signed out at once.",
        answer=shapes.Removed,
        handle=remove_user,
    ),
    Route(
        method="POST",
        path="/users/{user}/links",
        role=Role.administrator,
        name="createUserLink",
        summary="Make a one-time link by which a user chooses another password.",
        answer=shapes.InvitedUser,
        status=201,
        handle=make_link,
    ),
    Route(
        method="GET",
        path="/tokens",
        role=Role.administrator,
        name="listTokens",
        summary="List the API tokens; what they are is not kept.",
        query=PageQuery,
        answer=shapes.Token,
        listed=True,
        handle=list_tokens,
    ),
    Route(
        method="POST",
        path="/tokens",
        role=Role.administrator,
        name="createToken",
        summary="Create an API token; this answer is the only one that ever shows it.",
        body=NewToken,
        answer=shapes.CreatedToken,
        status=201,
        handle=create_token,
    ),
    Route(
        method="DELETE",
        path="/tokens/{token}",
        role=Role.administrator,
        name="revokeToken",
        summary="Revoke an API token: it lets nobody in any more.",
        answer=shapes.Revoked,
        handle=revoke_token,
    ),
    Route(
        method="GET",
        path="/audit",
        role=Role.administrator,
        name="listAudit",
        summary="List who changed what, the newest first.",
        query=AuditQuery,
        answer=shapes.AuditEntry,
        listed=True,
        handle=list_audit,
    ),
)
