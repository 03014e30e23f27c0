"""What pages there are: each is a row with the role it needs. Nothing is reachable without one."""

from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeAlias

from msgspec import Struct
from starlette.responses import Response

from milonga.console.visit import Visit
from milonga.workspace.roles import Role

Handler: TypeAlias = Callable[[Visit], Response]
"""Called in a thread of its own: it may read files and wait for them, but not for ever."""

Stream: TypeAlias = Callable[[Visit], AsyncIterator[str | bytes]]
"""Called in the event loop; yields server-sent events (milonga.console.events) until the viewer is gone."""


class Page(Struct, frozen=True, kw_only=True):
    """
    path    as Starlette has it, such as `/sources/{name}`
    needs   the least role; None lets strangers in
    answer  what makes the page, or a stream of events
    """

    method: Literal["GET", "POST"]
    path: str
    needs: Role | None
    answer: Handler | None = None
    stream: Stream | None = None


def shows(path: str, answer: Handler, needs: Role | None = Role.viewer) -> Page:
    """A page to look at."""
    return Page(method="GET", path=path, needs=needs, answer=answer)


def changes(path: str, answer: Handler, needs: Role | None = Role.editor) -> Page:
    """What a form is sent to. It has the session's token, or is refused."""
    return Page(method="POST", path=path, needs=needs, answer=answer)


def streams(path: str, stream: Stream, needs: Role | None = Role.viewer) -> Page:
    return Page(method="GET", path=path, needs=needs, stream=stream)
