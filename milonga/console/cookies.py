"""
Cookies of ours: what they are called, and where a browser sends them. Over https they are called `__Host-...`: a
browser takes such a one from this very host alone, by https, for all of its paths; so neither a neighbour under its
domain nor anybody on the way can put another in its place (RFC 6265bis, 4.1.3.2). Over plain HTTP, as on loopback, no
browser would take that name.
"""

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from milonga.console.guard import is_by_https

SESSION: Final = "milonga_session"
SAID: Final = "milonga_said"  #: what a change has to say on the next page
OURS_ALONE: Final = "__Host-"  #: before the name of each that goes by https


class Cookies(Struct, frozen=True):
    """secure  this visit is by https"""

    secure: bool

    def name(self, plain: str) -> str:
        return f"{OURS_ALONE}{plain}" if self.secure else plain

    def read(self, request: Request, plain: str) -> str:
        """ "" if there is none. By https what has the other name is not looked at: anybody may have put it there."""
        return request.cookies.get(self.name(plain), "")

    def put(self, answer: Response, plain: str, value: str, seconds: int) -> None:
        answer.set_cookie(
            self.name(plain), value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=self.secure
        )

    def remove(self, answer: Response, plain: str) -> None:
        answer.delete_cookie(self.name(plain), path="/", httponly=True, samesite="lax", secure=self.secure)


def cookies_of(request: Request, *, behind_https: bool) -> Cookies:
    """behind_https: see milonga.console.guard.is_by_https"""
    scheme, host = request.scope.get("scheme", "http"), request.headers.get("host", "")
    return Cookies(is_by_https(scheme, host, behind_https=behind_https))
