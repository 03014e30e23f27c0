"""What pages there are: each is a row with the role it needs. Nothing is reachable without one."""

from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeAlias

from msgspec import Struct
from starlette.responses import Response

from milonga.console.lines import Line
from milonga.console.visit import Visit
from milonga.workspace.roles import Role

Handler: TypeAlias = Callable[[Visit], Response]
"""Called in a thread, of which there are few: what waits for more than files, or works for seconds, has a Line."""

Stream: TypeAlias = Callable[[Visit], AsyncIterator[str | bytes]]
"""Called in the event loop; yields server-sent events (milonga.console.events) until the viewer is gone."""


class Page(Struct, frozen=True, kw_only=True):
    """
    path    as Starlette has it, such as `/sources/{name}`
    needs   the least role; None lets strangers in
    answer  what makes the page, or a stream of events
    line    whose threads it takes; None: those of all pages
    """

    method: Literal["GET", "POST"]
    path: str
    needs: Role | None
    answer: Handler | None = None
    stream: Stream | None = None
    line: Line | None = None


def shows(path: str, answer: Handler, needs: Role | None = Role.viewer, line: Line | None = None) -> Page:
    """A page to look at."""
    return Page(method="GET", path=path, needs=needs, answer=answer, line=line)


def changes(path: str, answer: Handler, needs: Role | None = Role.editor, line: Line | None = None) -> Page:
    """What a form is sent to. It has the session's token, or is refused."""
    return Page(method="POST", path=path, needs=needs, answer=answer, line=line)


def streams(path: str, stream: Stream, needs: Role | None = Role.viewer) -> Page:
    return Page(method="GET", path=path, needs=needs, stream=stream)
