"""Doing what a route is for: the same within one process and over HTTP."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from milonga.api.problem import Problem, refused
from milonga.api.route import Asked, Caller, Listed, Reading, Route, Told
from milonga.eventlog.record import UnknownFormat
from milonga.facts.facts import Facts, open_facts
from milonga.facts.rehearsal import Told as Progress
from milonga.spec.read import NotAnEvent
from milonga.workspace.errors import UserError
from milonga.workspace.store import Workspace


class DataDirectory:
    """A Reading: opened when it is first needed, and only as far as it is."""

    def __init__(
        self, path: Path, *, allow_private: bool = False, tell: Progress | None = None, events_url: str = ""
    ) -> None:
        self.path, self.allow_private, self.tell, self.events_url = path, allow_private, tell, events_url
        self._open = ExitStack()

    @cached_property
    def facts(self) -> Facts:
        return self._open.enter_context(open_facts(self.path))

    @property
    def workspace(self) -> Workspace:
        return self.facts.workspace

    @property
    def gaps(self) -> list[str]:
        """What could not be read, and so is missing in the answer. Sentences."""
        opened = self.__dict__.get("facts")
        unreadable = {} if opened is None else opened.outcomes.unreadable
        return [
            f"Outcomes are missing: outcomes/{name} cannot be read ({error}). `milonga check` tells more."
            for name, error in unreadable.items()
        ]

    def close(self) -> None:
        self._open.close()


@contextmanager
def reading(
    path: Path, *, allow_private: bool = False, tell: Progress | None = None, events_url: str = ""
) -> Iterator[DataDirectory]:
    """For one request, in the thread that carries it out."""
    data = DataDirectory(path, allow_private=allow_private, tell=tell, events_url=events_url)
    try:
        yield data
    finally:
        data.close()


def perform(
    route: Route, data: Reading, caller: Caller, names: Mapping[str, str], query: Any, body: Any
) -> dict[str, Any]:
    """
    The answer: `data`, and with a list `pagination`. A Problem says why there is none.

    query, body  of the route's types
    """
    check_role(route, caller)
    try:
        found = route.handle(Asked(data, caller, names, query, body))
    except (UserError, UnknownFormat, NotAnEvent) as error:
        raise refused(error if isinstance(error, UserError) else UserError(str(error))) from error
    return envelope(found, data.gaps)


def envelope(found: Any, gaps: Sequence[str] = ()) -> dict[str, Any]:
    """What a handler gave, as it is sent."""
    notes: list[str] = []
    match found:
        case Listed(rows, next_, notes, more):
            answer: dict[str, Any] = {"data": rows, "pagination": {"count": len(rows), "next": next_, **more}}
        case Told(data, notes):
            answer = {"data": data}
        case _:
            answer = {"data": found}
    notes = [*notes, *gaps]
    return answer | ({"notes": notes} if notes else {})


def check_role(route: Route, caller: Caller) -> None:
    if not caller.role.may(route.role):
        raise Problem(
            403,
            "not_allowed",
            f"{route.summary.rstrip('.')}: that needs the role {route.role.value}; this token has the role "
            f"{caller.role.value}.",
        )
