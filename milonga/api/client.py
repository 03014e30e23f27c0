"""
Asking the API for what a route is for, by its name: within this process, or over HTTP. Whoever asks need not know
which: both give the same answers, and the same Problems.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from milonga import __version__
from milonga.api.encoding import encoded
from milonga.api.performing import perform, reading
from milonga.api.problem import NO_FIELD, NOTHING_HERE, UNKNOWN_ROUTE, VERSION, Problem
from milonga.api.reading import body_of, query_of
from milonga.api.remote import Server
from milonga.api.route import MOST, Caller, Route
from milonga.api.table import BY_NAME, PREFIX
from milonga.facts.rehearsal import Told
from milonga.workspace.roles import Role

Values = Mapping[str, object]
NOTHING: Final[Values] = {}


class Answer(Struct, frozen=True):
    """
    data   what was asked for
    notes  sentences worth knowing besides
    page   of a list: next, and what else is told of the page
    """

    data: Any
    notes: list[str]
    page: dict[str, Any]


class Reach(Protocol):
    """A Milonga that can be asked."""

    def ask(self, name: str, names: Values = NOTHING, query: Values = NOTHING, body: object = None) -> Answer:
        """
        name   of the route: its operationId
        names  what stands for the {names} of its path
        query  name -> text, number, switch, or several of them; None is left out

        A Problem says why not.
        """


class Local:
    """A data directory of this machine, with all rights: who can read its files needs nobody's leave."""

    def __init__(self, data: Path, *, tell: Told | None = None, allow_private: bool = False) -> None:
        """
        tell           is told how far something slow is, which then may take as long as it takes
        allow_private  a test of a connection may be to a private address
        """
        self._data, self._tell, self._allow_private = data, tell or _nothing, allow_private
        self._caller = Caller("cli", Role.administrator)

    def ask(self, name: str, names: Values = NOTHING, query: Values = NOTHING, body: object = None) -> Answer:
        route = BY_NAME[name]
        asked = query_of(_pairs(query), route.query)
        sent = None if route.body is None else body_of(body, route.body)
        with reading(self._data, allow_private=self._allow_private, tell=self._tell) as data:
            told = perform(route, data, self._caller, {key: str(one) for key, one in names.items()}, asked, sent)
        return _answer(told)


def _nothing(_what: str, _looked: int, _of: int) -> None:
    """Nobody wants to know."""


class Remote:
    """A Milonga elsewhere, by its API. Another version of it may not know what is asked, or answer less."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._version = ""  # of the last answer

    def ask(self, name: str, names: Values = NOTHING, query: Values = NOTHING, body: object = None) -> Answer:
        route = BY_NAME[name]
        pairs = _pairs(query)
        path = f"{PREFIX}{_path(route, names)}{f'?{urlencode(pairs)}' if pairs else ''}"
        sent = None if route.body is None else encoded(body)
        try:
            got = self._server.ask(route.method, path, sent)
        except Problem as problem:
            self._version = problem.headers.get(VERSION, "")
            if self.is_another and is_beyond(problem):
                raise self.too_different() from problem
            raise
        self._version = got.version
        answer = _answer(got.told)
        if self.is_another and not _holds_all(route, answer.data):
            raise self.too_different()
        return answer

    @property
    def is_another(self) -> bool:
        """Whether the server is of another version, as far as it has said, or of one that does not say."""
        return self._version != __version__

    def too_different(self) -> Problem:
        """What is told if the two do not understand each other."""
        there = f"Milonga {self._version}" if self._version else "a Milonga that does not say which version it is"
        return Problem(
            502,
            "other_version",
            f"{self._server.url} runs {there}. This command is of Milonga {__version__}, and needs a server of this "
            "version: update the server, or use the command of its version.",
        )


def is_beyond(problem: Problem) -> bool:
    """Whether it says that the server does not know a route, or a field, that a command of ours asks for."""
    if problem.code in (UNKNOWN_ROUTE, "method_not_allowed") or problem.detail.startswith(NOTHING_HERE):
        return True
    return problem.code in ("invalid_query", "invalid_body") and problem.detail.endswith(NO_FIELD)


def _holds_all(route: Route, data: Any) -> bool:
    """Whether all that is declared is there, and of its type. More may be there: then the server is the newer one."""
    try:
        msgspec.convert(data, list[route.answer] if route.listed else route.answer)  # type: ignore[name-defined]
    except msgspec.ValidationError as error:
        return "unknown field" in str(error)
    return True


def rows(reach: Reach, name: str, query: Values, limit: int, names: Values = NOTHING) -> Answer:
    """Of a list its first so many things, page by page; notes and page are the last one's."""
    found: list[Any] = []
    cursor, answer = "", Answer([], [], {})
    for _ in _pages(limit):
        count = min(MOST, limit - len(found))
        answer = reach.ask(name, names, {**query, "count": count, "cursor": cursor or None})
        found += answer.data
        cursor = answer.page.get("next") or ""
        if not cursor or len(found) >= limit:
            break
    return Answer(found, answer.notes, answer.page)


def _pages(limit: int) -> Iterator[int]:
    """More than any list of so many has: a server that goes on for ever is left."""
    yield from range(10 + limit)


def _pairs(query: Values) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in query.items():
        several = value if isinstance(value, (list, tuple)) else [value]
        found += [(name, _text(one)) for one in several if one is not None]
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _path(route: Route, names: Values) -> str:
    path = route.path
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    return path


def _answer(told: Mapping[str, Any]) -> Answer:
    try:
        return Answer(told["data"], list(told.get("notes", ())), dict(told.get("pagination", {})))
    except (KeyError, TypeError, ValueError):
        raise Problem(502, "no_api", "What answers there is no API of Milonga's.") from None
