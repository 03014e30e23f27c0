"""
The API as an ASGI application, to be put among others by ApiRoute: tokens, limits, handing each request to a thread.

The threads are its own, and few, so that whoever asks much here slows down nobody who looks at a page. A request that
finds too many before it is told to come again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from milonga import __version__
from milonga.api.audited import Audited
from milonga.api.callers import was_of, who
from milonga.api.encoding import encoded
from milonga.api.openapi import description
from milonga.api.performing import check_role, perform, reading
from milonga.api.problem import (
    TOO_LARGE,
    TYPE,
    UNAUTHENTICATED,
    UNKNOWN_TOKEN,
    VERSION,
    Problem,
    busy,
    trouble,
    unavailable,
)
from milonga.api.reading import read_body, read_query
from milonga.api.route import Caller, Route
from milonga.api.table import DESCRIPTION, PREFIX, find
from milonga.facts.keys import without_keys
from milonga.workspace.errors import UserError
from milonga.workspace.people import digest
from milonga.workspace.roles import Role

log = structlog.get_logger("milonga.api")

Who = Callable[[Path, str], Caller | None]
"""(data directory, token) -> whose it is; None if it is in force nowhere. Called in a thread."""

MOST_BODY: Final = 3 * 512 * 1024  #: bytes; less than the console takes before it is asked
BODY_TIME: Final = 30.0  #: seconds for a body to arrive
ANSWER_TIME: Final = 60.0  #: seconds
THREADS: Final = 4  #: requests carried out at a time
SLOW_THREADS: Final = 2  #: and of those that may take seconds
WAITING: Final = 64  #: requests under way, waiting ones included
OF_ONE: Final = 16  #: of one token
UNKNOWN: Final = 32  #: of those whose token is being looked up: strangers leave room to those who are let in
LET_IN: Final = 1_000  #: tokens that are remembered to have let somebody in: they need no room among strangers
NOBODY: Final = ""  #: the name of these
TOLD_EVERY: Final = 60.0  #: seconds
JSON_TYPES: Final = ("application/json", "application/merge-patch+json")
HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    VERSION: __version__,
}


class Api:
    """Of one data directory. Cookies mean nothing to it. Close it when the server stops."""

    def __init__(
        self,
        data: Path,
        who: Who = who,
        *,
        allow_private: bool = False,
        events_url: str = "",
        audited: Audited | None = None,
    ) -> None:
        """
        allow_private  whether destinations may be on private addresses
        events_url     where events are taken; "" if that is not known
        audited        None: nothing but changes is
        """
        self._data, self._who, self._allow_private, self._events_url = data, who, allow_private, events_url
        self._audited = audited
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="api")
        self._slow = ThreadPoolExecutor(SLOW_THREADS, thread_name_prefix="api-slow")
        self._told_at: float | None = None  # that tokens cannot be looked up
        self._under_way: Counter[str] = Counter()
        self._let_in: dict[bytes, str] = {}  # digest of a token -> whose it was; each request looks it up all the same
        self._description = encoded(description())

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._under_way)

    def close(self) -> None:
        """Whatever runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except Problem as problem:
            answer = _told(problem, request)
        except ClientDisconnect:
            return
        except Exception:
            log.exception("api.trouble", method=request.method, what="Please report this.")
            answer = _told(trouble(), request)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        token = _token(request)
        async with self._room(self._let_in.get(digest(token), NOBODY)):
            caller = await self._caller(request, token)
        request.state.caller = caller
        parts = _parts(request.scope)
        if parts == [DESCRIPTION]:
            return self._describe(request)
        async with self._room(caller.name):
            there = find(request.method, parts)
            route, names = there.route, there.names
            check_role(route, caller)
            query = read_query(_text(request.scope["query_string"]), route.query)
            body = None if route.body is None else read_body(await _body(request), route.body)

            def work() -> bytes:
                with reading(self._data, allow_private=self._allow_private, events_url=self._events_url) as data:
                    found = perform(route, data, caller, names, query, body)
                    if self._audited is not None:
                        self._audited.answered(request, caller, route, query, found)
                    answer = encoded(found)
                    hidden = () if caller.role.may(Role.editor) else data.workspace.write_keys.secret()
                return without_keys(answer, hidden)

            return _json(route.status, await self._run(work, route))

    def _describe(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise Problem(405, "method_not_allowed", "Use GET here.", headers={"Allow": "GET"})
        return _json(200, self._description)

    async def _caller(self, request: Request, token: str) -> Caller:
        if not token:
            raise UNAUTHENTICATED
        loop = asyncio.get_running_loop()
        caller = await loop.run_in_executor(self._threads, self._look_up, request, token)
        if caller is None:
            self._let_in.pop(digest(token), None)
            raise UNKNOWN_TOKEN
        if len(self._let_in) >= LET_IN:
            self._let_in.clear()  # who comes again and again is soon back
        self._let_in[digest(token)] = caller.name
        return caller

    def _look_up(self, request: Request, token: str) -> Caller | None:
        try:
            caller = self._who(self._data, token)
            if caller is None and self._audited is not None:
                self._audited.refused(request, was_of(self._data, token))
        except UserError as error:
            self._tell_unreadable(error)
            raise unavailable() from None
        return caller

    def _tell_unreadable(self, error: UserError) -> None:
        """Once in a while: strangers decide how often it happens."""
        now = time.monotonic()
        if self._told_at is None or now - self._told_at >= TOLD_EVERY:
            self._told_at = now
            log.error("api.cannot_look_up_tokens", error=str(error))

    async def _run(self, work: Callable[[], bytes], route: Route) -> bytes:
        """In a thread. What takes too long is not begun any more, or goes on there and its answer is thrown away."""
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._slow if route.slow else self._threads, work)
        try:
            return await asyncio.wait_for(asyncio.shield(done), ANSWER_TIME)
        except TimeoutError:
            done.cancel()
            raise Problem(
                503,
                "too_slow",
                f"This takes longer than {ANSWER_TIME:g} seconds. Ask for less, such as a shorter time.",
                headers={"Retry-After": "10"},
            ) from None

    @asynccontextmanager
    async def _room(self, who: str) -> AsyncIterator[None]:
        mine = self._under_way[who]
        if self._under_way.total() >= WAITING or (who == NOBODY and mine >= UNKNOWN):
            raise busy("Too many requests are under way.")
        if who != NOBODY and mine >= OF_ONE:
            raise busy(f"{OF_ONE} requests of this token are under way.")
        self._under_way[who] += 1
        try:
            yield
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]


class ApiRoute(BaseRoute):
    """All that lies under /api/v1, whatever is in the path: Starlette's own Mount passes by one with a line break."""

    def __init__(self, api: "Api") -> None:
        self._api = api

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        mine = path == PREFIX or path.startswith(f"{PREFIX}/")
        return (Match.FULL if mine else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._api(scope, receive, send)


def _token(request: Request) -> str:
    """ "" if it shows none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _parts(scope: Scope) -> list[str]:
    """Of the path behind the prefix; a slash that is written %2F parts nothing."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    skipped = f"{scope.get('root_path', '')}{PREFIX}".count("/")
    try:
        return [unquote_to_bytes(part).decode() for part in raw.split(b"/")[1 + skipped :]]
    except UnicodeDecodeError:
        raise Problem(404, "not_found", "The path is not UTF-8.") from None


def _text(query: bytes) -> str:
    return query.decode("latin-1")


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON_TYPES:
        raise Problem(415, "unsupported_media_type", f"Send the body as JSON, with Content-Type: {JSON_TYPES[0]}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported_encoding", "Send the body as it is, without Content-Encoding.")
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            async for part in request.stream():
                found += part
                if len(found) > MOST_BODY:
                    raise Problem(
                        413, "body_too_large", TOO_LARGE.format(most=MOST_BODY), headers={"Connection": "close"}
                    )
    except TimeoutError:
        raise Problem(
            408, "slow_body", "The body did not arrive in time. Send it again.", headers={"Connection": "close"}
        ) from None
    return bytes(found)


def _json(status: int, body: bytes) -> Response:
    return Response(body, status, HEADERS, "application/json")


def _told(problem: Problem, request: Request) -> Response:
    headers = {**HEADERS, **problem.headers}
    if not hasattr(request.state, "caller"):
        del headers[VERSION]  # what runs here is no stranger's business
    return Response(encoded(problem.details), problem.status, headers, TYPE)
