"""What the API answers instead of what was asked for: problem details as RFC 9457 has them. Pure."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct, ValidationError

from milonga.workspace.errors import Clash, NotThere, UserError

TYPE: Final = "application/problem+json"

_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<where>[^`]*)`)?$", re.DOTALL)


class ProblemDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    As it is sent.

    title   the phrase of the status
    detail  what is wrong, then what to do
    code    for programs
    field   which part of the request is meant: a parameter's name, or a path into the body such as `$.settings.origins`
    """

    title: str
    status: int
    detail: str
    code: str
    field: str = ""


class Problem(Exception):
    """
    status   of the answer
    code     for programs
    detail   what is wrong, then what to do; no secret
    field    which part of the request is meant; "": none in particular
    headers  of the answer
    """

    def __init__(
        self, status: int, code: str, detail: str, *, field: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.field = status, code, detail, field
        self.headers = dict(headers or {})

    @property
    def details(self) -> ProblemDetails:
        return ProblemDetails(
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            code=self.code,
            field=self.field,
        )


NOTHING_HERE: Final = "There is nothing here."
VERSION: Final = "Milonga-Version"  #: the header by which an answer says who gives it
UNKNOWN_ROUTE: Final = "unknown_route"  #: code of what no route is for, and of a method that none is for


def not_found(detail: str) -> Problem:
    return Problem(404, "not_found", detail)


def refused(error: UserError) -> Problem:
    """What the workspace, or what was asked about the data directory, refuses."""
    match error:
        case NotThere():
            return not_found(str(error))
        case Clash():
            return Problem(409, "conflict", str(error))
        case _:
            return Problem(422, "refused", str(error))


def misfit(error: ValidationError, *, part: str) -> Problem:
    """
    What was sent does not have the shape that it must have.

    part  "body" or "query"
    """
    found = _AT.match(str(error))
    what, where = (found["what"], found["where"] or "") if found is not None else (str(error), "")
    if part == "query":
        where = where.removeprefix("$.").removeprefix("$")
    name = re.search(r"(?:required|unknown) field `([^`]*)`", what)
    if name is not None:
        what = "This is needed." if "required" in what else NO_FIELD
        where = f"{where}.{name[1]}" if part == "body" and where else f"$.{name[1]}" if part == "body" else name[1]
    said = what if what.endswith(".") else f"{what}."
    return Problem(422, f"invalid_{part}", f"{where}: {said}" if where else said, field=where)


NO_FIELD: Final = "There is no such field."
TOO_LARGE: Final = "The body is larger than {most:,} bytes, which is all that is taken here."
UNAUTHENTICATED: Final = Problem(
    401,
    "no_token",
    "Send a token: Authorization: Bearer TOKEN. `milonga tokens create NAME --role ROLE` makes one.",
    headers={"WWW-Authenticate": 'Bearer realm="Milonga"'},
)
UNKNOWN_TOKEN: Final = Problem(
    401,
    "unknown_token",
    "No such token is in force: it is mistyped, was removed, or has expired.",
    headers={"WWW-Authenticate": 'Bearer realm="Milonga", error="invalid_token"'},
)


def busy(what: str, wait: int = 1) -> Problem:
    """what  there is too much of, a sentence; wait  seconds to come again in"""
    return Problem(
        429, "busy", f"{what} Wait as long as Retry-After says, then ask again.", headers={"Retry-After": str(wait)}
    )


def unavailable() -> Problem:
    """To somebody who may be a stranger: what is wrong stands in the log."""
    return Problem(
        503,
        "unavailable",
        "Tokens cannot be looked up just now, so nobody is let in. The server's log says why, and what to do.",
        headers={"Retry-After": "10"},
    )


def trouble() -> Problem:
    return Problem(
        500, "trouble", "Something went wrong here, not with the request. The server's log says what. Please report it."
    )


def is_problem(answer: Mapping[str, Any]) -> bool:
    return "status" in answer and "detail" in answer
