"""A running console for tests: its address, people of every role who are logged in, plain requests, and a browser."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct
from playwright.sync_api import Browser, BrowserContext, Page

from milonga.console.app import SESSION
from milonga.workspace.passwords import hashed
from milonga.workspace.people import csrf_of
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.running import Milonga, eventually

PASSWORD = "a few words will do"
PATIENCE = 60_000.0  #: milliseconds of a browser


class Answer(Struct, frozen=True):
    """headers: names in lower case"""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Console:
    """A server with its console, and a person of each role."""

    def __init__(self, milonga: Milonga) -> None:
        self.milonga = milonga
        self._cookies: dict[Role, str] = {}

    @property
    def url(self) -> str:
        return self.milonga.console_url

    @property
    def data(self) -> Path:
        return self.milonga.data

    def cookie(self, role: Role) -> str:
        """Of the session of a person of this role, made without the pages: they are tested elsewhere."""
        if role not in self._cookies:
            with Workspace.open(self.data) as workspace:
                name = f"the-{role.value}"
                _, link = workspace.users.add(name, role)
                stored = hashed(PASSWORD)
                user = workspace.users.use_link(link, stored)
                self._cookies[role] = workspace.sessions.begin(user, stored, "127.0.0.1", "a test")
        return self._cookies[role]

    def token(self, role: Role) -> str:
        """What the forms of that person's session carry."""
        return csrf_of(self.cookie(role))

    def get(self, path: str, role: Role | None = Role.viewer, headers: Mapping[str, str] = {}) -> Answer:
        return self.ask("GET", path, role, headers=headers)

    def post(
        self,
        path: str,
        form: Mapping[str, Any] = {},
        role: Role | None = Role.editor,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """As a form of that person's session sends it. form: a list for a name that comes several times"""
        fields = {"csrf": self.token(role), **form} if role is not None else dict(form)
        body = urlencode(fields, doseq=True).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.url}
        return self.ask("POST", path, role, body, {**kind, **headers})

    def ask(
        self, method: str, path: str, role: Role | None, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        where = urlsplit(self.url)
        connection = HTTPConnection(where.hostname or "", where.port, timeout=60)
        own = {} if role is None else {"Cookie": f"{SESSION}={self.cookie(role)}"}
        try:
            connection.request(method, path, body, {**own, **headers})
            answer = connection.getresponse()
            text = answer.read().decode()
            return Answer(answer.status, text, {name.lower(): value for name, value in answer.getheaders()})
        finally:
            connection.close()

    @contextmanager
    def visiting(self, browser: Browser, role: Role | None = Role.editor, **options: Any) -> Iterator[Page]:
        """
        A page of a browser in which this person is logged in. At its end: nothing went wrong in it, and nothing was
        kept from running by the policy of the pages, for each of that is a fault of ours.

        options  of playwright's context, such as `viewport`, `color_scheme`
        """
        context: BrowserContext = browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        if role is not None:
            context.add_cookies([{"name": SESSION, "value": self.cookie(role), "url": self.url}])
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
        page.on("console", lambda said: wrong.append(f"{page.url}: {said.text}") if said.type == "error" else None)
        try:
            yield page
        finally:
            context.close()
        assert not [one for one in wrong if "Failed to load resource" not in one]


@contextmanager
def console_of(folder: Path, *options: str) -> Iterator[Console]:
    """A server on `folder`/data, from now to the end of this."""
    with Milonga(folder / "data", *options, console=True) as milonga:
        found = Console(milonga.start())
        answers(found)
        yield found


def answers(console: Console) -> None:
    """Its process is up: what comes before waits in the socket, but a test that is about time should not."""

    def up() -> bool:
        try:
            return console.get("/static/none", role=None).status == 404
        except OSError:
            return False

    eventually(up, "the console answers")
