"""
What the audit log tells of the API besides changes: tokens that let nobody in, and events that were exported or read.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from starlette.requests import Request

from milonga.api.route import Caller, Route
from milonga.workspace.audit import refused_token, taken
from milonga.workspace.gathering import Gathering
from milonga.workspace.throttle import network_of


class Audited(Struct, frozen=True):
    """
    Its methods may write to the disk.

    address  from where a request came
    """

    gathering: Gathering
    address: Callable[[Request], str]

    def refused(self, request: Request, name: str) -> None:
        """name  of the token that is over; "" if nobody has it"""
        self.gathering.add(refused_token(name, network_of(self.address(request))))

    def answered(self, request: Request, caller: Caller, route: Route, query: Any, answer: Mapping[str, Any]) -> None:
        """Whether with events, the route and the query say: with `events` it is asked for them where that can be."""
        if not route.exports or not getattr(query, "events", True):
            return
        n = len(answer["data"]) if route.listed else 1
        if n:
            of = getattr(query, "destination", None) or ""
            where = network_of(self.address(request))
            self.gathering.add(taken(caller.name, route.exports, of, where, "events"), n)
