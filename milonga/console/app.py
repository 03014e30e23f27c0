"""The console as one application: its pages, the public API, and what lives beside them."""

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Final, Protocol, TypeAlias, TypeVar

import anyio
import anyio.to_thread
import structlog
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from milonga.api.app import Api, ApiRoute
from milonga.api.audited import Audited
from milonga.console import built
from milonga.console.config import Config
from milonga.console.events import event
from milonga.console.guard import Guard, TooMuch
from milonga.console.lines import TooMany, Turns
from milonga.console.pages import all_pages
from milonga.console.services import Services
from milonga.console.table import Page
from milonga.console.visit import SESSION as SESSION
from milonga.console.visit import Visit, Visitor, address
from milonga.workspace.errors import Clash, NotThere, UserError

log = structlog.get_logger("milonga.console")

AT_ONCE: Final = 4  #: pages that are made side by side; more wait their turn
STRANGERS: Final = 2  #: of those that need no role, which are apart: whoever floods them keeps nobody else waiting
LOOK: Final = 20.0  #: seconds between two looks whether whoever follows a stream may still do so
MOST_FIELDS: Final = 2_000  #: of one form
FORM_TIME: Final = 30.0  #: seconds for a form to arrive
OF_ONE: Final = 32  #: pages that are made for one person, or wait for it, at a time
STREAMS: Final = 30  #: that one person follows at a time; all together are bounded, too (milonga.console.tail)
YEAR: Final = 31_536_000  #: seconds

Part = TypeVar("Part", str, bytes, str | bytes)  #: of a stream

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class Door(Protocol):
    """Knows who is who."""

    def visitor(self, cookie: str | None, *, touch: bool = True) -> Visitor | None:
        """
        Whose session this is. Called in a thread.

        touch  this is something that the person did: the session goes on
        """


def make_app(config: Config, door: Door, pages: Sequence[Page] | None = None) -> Starlette:
    """pages  all there are, unless told otherwise"""
    makers, for_strangers = anyio.CapacityLimiter(AT_ONCE), anyio.CapacityLimiter(STRANGERS)
    services = Services(config, lambda: makers.borrowed_tokens + for_strangers.borrowed_tokens > 0 or api.is_busy)
    api = Api(
        config.data,
        allow_private=config.allow_private,
        events_url=config.events_url,
        audited=Audited(services.gathering, services.attempts.address),
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with services.running():
            try:
                yield
            finally:
                api.close()

    asked, followed = Counter[str](), Counter[str]()
    pages = all_pages() if pages is None else pages
    turns = {page.line: Turns(page.line) for page in pages if page.line is not None}
    routes: list[BaseRoute] = [
        Route(
            page.path,
            _endpoint(
                page,
                services,
                door,
                for_strangers if page.needs is None else makers,
                None if page.line is None else turns[page.line],
                asked,
                followed,
            ),
            methods=[page.method],
        )
        for page in pages
    ]
    routes.append(Route("/static/{name}", _static, methods=["GET"]))
    routes.append(ApiRoute(api))
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _nothing_here, 405: _nothing_here})
    app.add_middleware(Guard, names=config.names, secure=config.secure)
    app.state.services = services
    return app


def _endpoint(
    page: Page,
    services: Services,
    door: Door,
    makers: anyio.CapacityLimiter,
    turns: Turns | None,
    asked: Counter[str],
    followed: Counter[str],
) -> Endpoint:
    """
    turns     if the page has a line of its own
    asked     name -> pages under way for this person
    followed  name -> streams that this person follows
    """

    async def endpoint(request: Request) -> Response:
        visit = Visit(request, services, None)
        # What a page fetches by itself while nobody looks at it keeps no session alive.
        touch = page.stream is None and not (visit.fragment and request.method == "GET")
        look = partial(door.visitor, visit.session, touch=touch)
        try:
            visitor = visit.visitor = await anyio.to_thread.run_sync(look, limiter=makers)
        except UserError as error:
            return _not_now(visit, error)
        if page.needs is not None and visitor is None:
            return _log_in_first(visit)
        if page.needs is not None and not visit.may(page.needs):
            return _not_allowed(visit, page)
        if page.method == "POST":
            if not _is_utf8(request):
                return _problem(visit, 415, "Forms are read as UTF-8. Load the page again, and send it again.")
            try:
                async with asyncio.timeout(FORM_TIME):
                    visit.form = await request.form(max_files=0, max_fields=MOST_FIELDS, max_part_size=1_500_000)
            except TimeoutError:
                return _problem(visit, 408, "This form did not arrive in time. Send it again.")
            except TooMuch:
                return _problem(visit, 413, "That is too much for one form. Send less of it.")
            except HTTPException as error:  # what Starlette makes of a form that it cannot, or will not, read
                return _problem(
                    visit, 400, f"This form cannot be read: {error.detail.rstrip('.')}. Load the page again."
                )
            except ClientDisconnect:
                return Response(status_code=400)
            # A page for strangers acts for no session, whether there is one or not: Guard saw that it is ours.
            if page.needs is not None and visitor is not None and not _ours(visit, visitor, visit.form):
                return _problem(visit, 403, "This form is not of your session. Load the page again, and send it again.")
            # A form may take its time: whoever was logged out meanwhile, or has another role, changes nothing by it.
            try:
                if page.needs is not None and not await _may_still(page, door, visit.session, makers):
                    return _log_in_first(visit)
            except UserError as error:
                return _not_now(visit, error)
        if page.stream is not None:
            allowed = partial(_may_still, page, door, visit.session, makers)
            who = "" if visitor is None else visitor.name
            return StreamingResponse(
                _one_of_few(_while_allowed(page.stream(visit), allowed), followed, who),
                media_type="text/event-stream",
                headers={"X-Accel-Buffering": "no"},
            )
        who = "" if visitor is None else visitor.name
        if visitor is not None and asked[who] >= OF_ONE:
            return _come_again(visit, f"{OF_ONE} pages are being made for you already. Wait for them.", 2)
        asked[who] += 1
        try:
            if turns is None:
                return await anyio.to_thread.run_sync(_answer, page, visit, limiter=makers)
            return await turns.run(partial(_answer_if_still, page, visit, door))
        except TooMany as error:
            return _come_again(visit, str(error), error.line.again)
        finally:
            asked[who] -= 1
            if not asked[who]:
                del asked[who]

    return endpoint


def _is_utf8(request: Request) -> bool:
    """Other encodings may make texts of it that cannot be written down: half a surrogate pair."""
    kind = request.headers.get("content-type", "").lower()
    return "charset" not in kind or "utf-8" in kind


def _come_again(visit: Visit, words: str, seconds: int) -> Response:
    answer = _problem(visit, 429, words)
    answer.headers["Retry-After"] = str(seconds)
    return answer


async def _may_still(page: Page, door: Door, session: str, makers: anyio.CapacityLimiter) -> bool:
    visitor = await anyio.to_thread.run_sync(partial(door.visitor, session, touch=False), limiter=makers)
    return page.needs is None or (visitor is not None and visitor.role.may(page.needs))


async def _while_allowed(
    stream: AsyncIterator[Part], allowed: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[Part, None]:
    """A stream outlasts many pages: whoever is logged out meanwhile sees no more of it."""
    looked = time.monotonic()
    try:
        async for text in stream:
            if time.monotonic() - looked >= LOOK:
                if not await allowed():
                    return
                looked = time.monotonic()
            yield text
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


async def _one_of_few(
    stream: AsyncGenerator[str | bytes, None], followed: Counter[str], who: str
) -> AsyncGenerator[str | bytes, None]:
    """Nobody takes all the places of those who watch."""
    if followed[who] >= STREAMS:
        yield event("", "crowded")
        return
    followed[who] += 1
    try:
        async with aclosing(stream):
            async for text in stream:
                yield text
    finally:
        followed[who] -= 1
        if not followed[who]:
            del followed[who]


def _answer_if_still(page: Page, visit: Visit, door: Door) -> Response:
    """After a wait in line, in which somebody may have been logged out, or got another role."""
    try:
        visitor = door.visitor(visit.session, touch=False)
    except UserError as error:
        return _not_now(visit, error)
    if page.needs is not None and (visitor is None or not visitor.role.may(page.needs)):
        return _log_in_first(visit)
    return _answer(page, visit)


def _answer(page: Page, visit: Visit) -> Response:
    assert page.answer is not None  # noqa: S101  a page has an answer or a stream
    try:
        return page.answer(visit)
    except UserError as error:
        if visit.visitor is None:
            return _not_now(visit, error)
        status = 404 if isinstance(error, NotThere) else 409 if isinstance(error, Clash) else 422
        return _problem(visit, status, str(error))


def _not_now(visit: Visit, error: UserError) -> Response:
    """The words of the workspace are for people who are in, not for strangers: they name files."""
    log.error("console.cannot_look_up", path=visit.request.url.path[:200], error=str(error))
    return _problem(visit, 503, "The console cannot look up who you are at the moment. Try again in a few seconds.")


def _ours(visit: Visit, visitor: Visitor, form: FormData) -> bool:
    given = visit.request.headers.get("x-csrf-token") or form.get("csrf") or ""
    return isinstance(given, str) and hmac.compare_digest(given.encode(), visitor.csrf.encode())


def _log_in_first(visit: Visit) -> Response:
    """Back to this page afterwards, if it was one to look at."""
    back = visit.request.url.path if visit.request.method == "GET" and not visit.fragment else "/"
    if back == visit.request.url.path and visit.request.url.query:
        back += f"?{visit.request.url.query}"
    to = address("/login", after=None if back == "/" else back)
    if visit.fragment:
        return Response(status_code=401, headers={"HX-Redirect": to})
    if "text/html" not in visit.request.headers.get("accept", "text/html"):
        return PlainTextResponse("Log in first.\n", 401)
    return visit.go(to)


def _not_allowed(visit: Visit, page: Page) -> Response:
    needs = "" if page.needs is None else page.needs.value
    article = "an" if needs[:1] in "ae" else "a"
    return _problem(visit, 403, f"This is for {article} {needs}. Ask an administrator for that role.")


def _problem(visit: Visit, status: int, words: str) -> Response:
    template = "problem-part.html" if visit.fragment else "problem.html"
    return visit.page(template, {"words": words, "status": status}, status=status)


async def _nothing_here(request: Request, _error: Exception) -> Response:
    visit = Visit(request, request.app.state.services, None)
    return visit.page("nothing.html", status=404)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    content = built.content(name)
    if content is None:
        return PlainTextResponse(built.NOT_BUILT if not built.manifest() else "There is no such file.\n", 404)
    kind = built.TYPES.get(name[name.rfind(".") :], "application/octet-stream")
    return Response(content, media_type=kind, headers={"Cache-Control": f"public, max-age={YEAR}, immutable"})
