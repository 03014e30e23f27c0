"""Where somebody comes from who logs in, how a stream ends with its session, and what keeps no session alive."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from structlog.testing import capture_logs

from milonga.console import app
from milonga.console.attempts import Attempts
from milonga.console.config import Config
from milonga.console.door import WorkspaceDoor
from milonga.console.table import changes
from milonga.console.visit import Visit, Visitor
from milonga.workspace.errors import UserError
from milonga.workspace.roles import Role
from milonga.workspace.sessions import IDLE
from milonga.workspace.store import Workspace
from milonga.workspace.throttle import OF_ADDRESS, OF_NAME


def request_from(address: str, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    return Request({"type": "http", "method": "POST", "path": "/login", "headers": headers, "client": (address, 1)})


@pytest.mark.parametrize(
    ("trusted", "address", "forwarded", "found"),
    [
        ((), "192.0.2.1", ("203.0.113.9",), "192.0.2.1"),
        (("192.0.2.1",), "192.0.2.1", ("203.0.113.9",), "203.0.113.9"),
        (("192.0.2.0/24",), "192.0.2.1", ("1.1.1.1, 203.0.113.9, 192.0.2.7",), "203.0.113.9"),
        (("192.0.2.1",), "192.0.2.1", ("1.1.1.1", "203.0.113.9"), "203.0.113.9"),
        (("192.0.2.1",), "192.0.2.1", ("2001:db8::1",), "2001:db8::1"),
        (("192.0.2.1",), "192.0.2.1", ("who knows",), "192.0.2.1"),
        (("192.0.2.1",), "192.0.2.1", (), "192.0.2.1"),
        (("192.0.2.1",), "198.51.100.1", ("203.0.113.9",), "198.51.100.1"),
    ],
)
def test_where_somebody_comes_from_is_told_by_trusted_proxies_alone(
    trusted: tuple[str, ...], address: str, forwarded: tuple[str, ...], found: str
) -> None:
    assert Attempts(trusted).address(request_from(address, *forwarded)) == found


def test_waits_are_counted_by_a_clock_that_nobody_sets() -> None:
    now = [1_000.0]
    attempts = Attempts(clock=lambda: now[0])
    here = request_from("192.0.2.1")
    assert [attempts.wait("ada", here) for _ in range(OF_NAME.free + 1)] == [0.0] * OF_NAME.free + [1.0]
    now[0] += 1.0
    assert attempts.wait("ada", here) == 0.0
    attempts.succeeded("ada", here)
    assert attempts.wait("ada", here) == 0.0


def test_an_address_that_tries_name_after_name_must_wait_and_no_other() -> None:
    attempts = Attempts(("192.0.2.1",), clock=lambda: 1_000.0)
    here, there = request_from("192.0.2.1", "203.0.113.5"), request_from("192.0.2.1", "203.0.113.6")
    waits = [attempts.wait(f"name-{n}", here) for n in range(OF_ADDRESS.free + 1)]
    assert waits == [0.0] * OF_ADDRESS.free + [1.0]
    assert attempts.wait("name-0", there) == 0.0


async def endless() -> AsyncIterator[str]:
    number = 0
    while True:
        yield str(number)
        number += 1
        await asyncio.sleep(0)


@pytest.mark.parametrize("answers", [[True, True, False], [False]])
def test_a_stream_ends_once_its_viewer_may_see_it_no_more(answers: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LOOK", 0.0)

    async def allowed() -> bool:
        return answers.pop(0)

    async def watched(expected: int) -> list[str]:
        async with asyncio.timeout(60):
            return [text async for text in app._while_allowed(endless(), allowed)]

    count = len(answers) - 1
    assert asyncio.run(watched(count)) == [str(n) for n in range(count)]


def test_nobody_takes_the_places_of_all_who_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "STREAMS", 1)
    followed = Counter[str]()

    async def first_of(*names: str) -> list[str | bytes]:
        streams = [app._one_of_few(text_of(endless()), followed, name) for name in names]
        found = [await anext(stream) for stream in streams]
        for stream in streams:
            await stream.aclose()
        return found

    assert asyncio.run(first_of("ada", "ada", "bob")) == ["0", "event: crowded\ndata: \n\n", "0"]
    assert asyncio.run(first_of("ada")) == ["0"]
    assert not followed


async def text_of(stream: AsyncIterator[str]) -> AsyncGenerator[str | bytes, None]:
    async for text in stream:
        yield text


class Locked:
    """A door whose workspace cannot be read."""

    def visitor(self, cookie: str | None, *, touch: bool = True) -> Visitor | None:
        raise UserError("/var/lib/secret-place/workspace.db has been locked by another process. Try again.")


@pytest.mark.parametrize("path", ["/", "/login"])
def test_what_the_workspace_says_in_its_trouble_is_not_told_to_strangers(tmp_path: Path, path: str) -> None:
    console = app.make_app(Config(data=tmp_path, events_url=""), Locked())
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    with capture_logs() as logs:
        asyncio.run(console(scope, receive, send))
    text = b"".join(message.get("body", b"") for message in sent).decode()
    assert sent[0]["status"] == 503
    assert "Try again in a few seconds" in text
    assert "secret-place" not in text
    assert "secret-place" in logs[0]["error"]


class Closing:
    """Lets somebody in once, and not again."""

    def __init__(self) -> None:
        self._visitors: list[Visitor | None] = [Visitor(name="ada", role=Role.editor, csrf="c")]

    def visitor(self, cookie: str | None, *, touch: bool = True) -> Visitor | None:
        return self._visitors.pop() if self._visitors else None


def test_whoever_is_logged_out_while_the_form_is_on_its_way_changes_nothing(tmp_path: Path) -> None:
    done: list[str] = []

    def change(visit: Visit) -> Response:
        done.append(visit.by)
        return visit.go("/")

    console = app.make_app(Config(data=tmp_path, events_url=""), Closing(), [changes("/change", change)])
    headers = [(b"host", b"localhost"), (b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/change", "query_string": b"", "headers": headers}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"csrf=c", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(console(scope, receive, send))
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"location"]) == (303, b"/login")
    assert not done


def test_a_look_keeps_no_session_alive_but_a_visit_does(tmp_path: Path) -> None:
    at = 1_700_000_000_000
    with Workspace.open(tmp_path, now=lambda: at) as workspace:
        _, link = workspace.users.add("ada", Role.viewer)
        ada = workspace.users.use_link(link, "$argon2id$x")
        secret = workspace.sessions.begin(ada, "$argon2id$x", "", "")
        at += IDLE - 1
        assert workspace.sessions.find(secret, touch=False) is not None
        assert workspace.sessions.of(ada)[0].used_at == 1_700_000_000_000
    door = WorkspaceDoor(tmp_path)
    assert door.visitor(secret) is None  # by the real clock it is long over
    assert door.visitor("") is None
    assert door.visitor(None, touch=False) is None
