"""One visit of a page: who asks, for what, and what is answered."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from msgspec import Struct
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from milonga.console.config import Config
from milonga.console.cookies import SAID as SAID
from milonga.console.cookies import SESSION as SESSION
from milonga.console.cookies import cookies_of
from milonga.console.places import PLACES
from milonga.console.rendering import render
from milonga.console.services import Services
from milonga.facts.facts import Facts, open_facts
from milonga.facts.keys import without_keys
from milonga.workspace.audit import taken
from milonga.workspace.roles import Role
from milonga.workspace.sessions import LONGEST
from milonga.workspace.store import Workspace
from milonga.workspace.throttle import network_of

LONGEST_SAID: Final = 600  #: characters
THEME: Final = "milonga_theme"  #: cookie


class Visitor(Struct, frozen=True, kw_only=True):
    """
    Somebody who is logged in.

    csrf     the token that forms of this session carry
    session  its number, to tell it from the person's other ones
    hidden   write keys that this person may not see whole
    """

    name: str
    role: Role
    csrf: str
    session: int = 0
    hidden: tuple[str, ...] = ()

    @property
    def by(self) -> str:
        """As the audit log has it."""
        return f"user:{self.name}"


class Visit:
    """
    visitor   None for a stranger, on pages that let them in
    query     of the address
    path      what the address names, by the names of the page's path
    form      what was posted; empty for a page that is looked at
    fragment  a part of a page is asked for, by htmx
    cookies   by which names this browser has them
    services  what lives beside the pages
    """

    def __init__(
        self, request: Request, services: Services, visitor: Visitor | None, form: FormData | None = None
    ) -> None:
        self.request, self.services, self.visitor = request, services, visitor
        self.query: QueryParams = request.query_params
        self.path: Mapping[str, str] = request.path_params
        self.form = FormData() if form is None else form
        self.fragment = request.headers.get("hx-request") == "true"
        self.cookies = cookies_of(request, behind_https=services.config.secure)

    @property
    def config(self) -> Config:
        return self.services.config

    @property
    def by(self) -> str:
        """Who changes something, for the workspace and its audit log."""
        return "stranger" if self.visitor is None else self.visitor.by

    @property
    def network(self) -> str:
        """From where: what one sender can be expected to choose from (milonga.workspace.throttle)."""
        return network_of(self.services.attempts.address(self.request))

    @property
    def role(self) -> Role:
        """The least one, of a stranger."""
        return Role.viewer if self.visitor is None else self.visitor.role

    def may(self, role: Role | str) -> bool:
        return self.visitor is not None and self.visitor.role.may(Role(role))

    def text(self, name: str, most: int = 1_000) -> str:
        """A field of the form, else of the query; "" if it is not there. Longer ones are cut."""
        value = self.form.get(name, self.query.get(name, ""))
        return value[:most] if isinstance(value, str) else ""

    def texts(self, name: str, most: int = 1_000) -> list[str]:
        """All fields of the form with this name."""
        return [value for value in self.form.getlist(name)[:most] if isinstance(value, str)]

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number of the query or the form, within bounds; the default if it is none."""
        text = self.text(name, 20)
        return min(max(int(text), least), most) if text.isascii() and text.removeprefix("-").isdigit() else default

    @contextmanager
    def facts(self) -> Iterator[Facts]:
        """Everything there is to know, read as it stands now. UserErrors come out."""
        with open_facts(self.config.data) as facts:
            yield facts

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        with Workspace.open(self.config.data) as workspace:
            yield workspace

    @property
    def origin(self) -> str:
        """Of our pages, for an address that somebody else is to open."""
        return self.config.url or f"{'https' if self.config.secure else 'http'}://{self.request.url.netloc}"

    @property
    def session(self) -> str:
        """The secret that the cookie holds: it may be nobody's."""
        return self.cookies.read(self.request, SESSION)

    @property
    def theme(self) -> str:
        """light, dark, or auto: what the browser remembers."""
        chosen = self.request.cookies.get(THEME, "")
        return chosen if chosen in ("light", "dark") else "auto"

    @property
    def places(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Of the navigation: (group, (name, address))."""
        return [
            (group, [(name, to) for name, to, needs in links if self.may(needs)])
            for group, links in PLACES
            if any(self.may(needs) for _, _, needs in links)
        ]

    @property
    def back(self) -> str:
        """The page of ours that one came from, else the first."""
        came = urlsplit(self.request.headers.get("referer", ""))
        ours = came.netloc == self.request.url.netloc and came.path.startswith("/") and not came.path.startswith("//")
        return came.path + (f"?{came.query}" if came.query else "") if ours else "/"

    # -- answers

    def page(self, template: str, values: Mapping[str, Any] | None = None, *, status: int = 200) -> Response:
        """A template of milonga/console/templates, with `values` and what every page knows (`visit`, `said`)."""
        said = self._said()
        text = render(template, {"visit": self, "said": said, "address": address, **(values or {})})
        answer = HTMLResponse(self.shown(text.encode("utf-8", "replace")), status)
        if said:
            self.cookies.remove(answer, SAID)
        return answer

    def go(self, to: str, said: str = "") -> Response:
        """
        On to another page of ours, after a change.

        said  what that page says on top: one sentence
        """
        on = Response(status_code=204, headers={"HX-Redirect": to})
        answer = on if self.fragment else RedirectResponse(to, 303)
        if said:
            self.cookies.put(answer, SAID, quote(said[:LONGEST_SAID]), 60)
        return answer

    def again(self) -> Response:
        """To a page that renews a part of itself: all of it is to be read again."""
        return Response(status_code=204, headers={"HX-Refresh": "true"})

    def log_in(self, to: str, session: str, said: str = "") -> Response:
        """On to another page of ours, from now on with this session."""
        answer = self.go(to, said)
        self.cookies.put(answer, SESSION, session, LONGEST // 1000)
        return answer

    def log_out(self, to: str, said: str = "") -> Response:
        """On to another page of ours, from now on without a session."""
        answer = self.go(to, said)
        self.cookies.remove(answer, SESSION)
        return answer

    def json(self, value: Any) -> Response:
        return JSONResponse(value)

    def download(self, parts: Iterable[bytes], media_type: str, name: str, which: str, of: str = "") -> Response:
        """
        A file of events, made while it is read. UserError if too many are under way.

        which, of  for the audit log: what it holds (milonga.workspace.audit.taken), of which destination
        """
        content = self.services.downloads.begin(self.by, (self.shown(part) for part in parts))
        self.services.gathering.add(taken(self.by, which, of, self.network, "files"))
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(content, media_type=media_type, headers=headers)

    def shown(self, content: bytes) -> bytes:
        """Without what this visitor may not see, wherever somebody has written it."""
        return content if self.visitor is None else without_keys(content, self.visitor.hidden)

    def _said(self) -> str:
        return "" if self.fragment else unquote(self.cookies.read(self.request, SAID))[:LONGEST_SAID]

    # -- addresses

    def here(self, **changes: str | int | None) -> str:
        """This page with other parameters; None takes one away."""
        kept = [(name, value) for name, value in self.query.multi_items() if name not in changes]
        kept += [(name, str(value)) for name, value in changes.items() if value is not None]
        return self.request.url.path + (f"?{urlencode(kept)}" if kept else "")


def address(path: str, parts: Sequence[object] = (), **query: object) -> str:
    """An address of ours: `address("/sources/{}", [name], tab="live")`. What is None is left out."""
    to = path.format(*(quote(str(part), safe="") for part in parts))
    wanted = {name: str(value) for name, value in query.items() if value is not None}
    return to + (f"?{urlencode(wanted)}" if wanted else "")
