"""Whoever connects and sends slowly, without end or nothing keeps nobody else from the console."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from milonga.console import app as pages
from milonga.console import connection
from milonga.console.server import serve
from tests.api.serving import served
from tests.running import PATIENCE, eventually


@contextmanager
def console(listener: socket.socket | None = None) -> Iterator[int]:
    """Its port. `/` answers at once, `/long` once somebody asks for `/go`."""
    stops: list[Callable[[], object]] = []
    listener = listener or socket.create_server(("127.0.0.1", 0))

    async def run() -> None:
        stop, went = asyncio.Event(), asyncio.Event()

        async def at_once(_request: Request) -> Response:
            return PlainTextResponse("here")

        async def long(_request: Request) -> Response:
            await went.wait()
            return PlainTextResponse("at last")

        async def go(_request: Request) -> Response:
            went.set()
            return PlainTextResponse("gone")

        app = Starlette(routes=[Route("/", at_once), Route("/long", long), Route("/go", go)])
        app.state.services = SimpleNamespace(closing=asyncio.Event())
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        await serve(app, listener, stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        eventually(lambda: bool(stops), "it runs")
        yield listener.getsockname()[1]
    finally:
        stops[0]()
        thread.join(PATIENCE)
        listener.close()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def asked(port: int, path: str = "/") -> tuple[int, str]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read().decode()


def ends(idle: socket.socket) -> bytes:
    """What came before the server closed it."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while some := idle.recv(1_000):
            found += some
    return found


def test_connections_that_send_nothing_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST", 5)
    with console() as port, contextlib.ExitStack() as stack:
        idle = [stack.enter_context(closing(connected(port))) for _ in range(10)]
        assert asked(port) == (200, "here")
        assert ends(idle[0]) == b""  # the oldest made room


def test_a_head_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_HEAD", 1_000)
    with console() as port, closing(connected(port)) as sender:
        with contextlib.suppress(ConnectionError):
            sender.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 2_000)
        assert ends(sender).startswith(b"HTTP/1.1 400 ")
        assert asked(port) == (200, "here")


def test_only_a_head_must_arrive_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = connection.PATIENCE
    monkeypatch.setattr(connection, "PATIENCE", 0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    with closing(HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=PATIENCE)) as slow:
        slow.request("GET", "/long")  # it is all there before anybody looks
        with console(listener) as port:
            for begun in (b"", b"GET / HT"):  # each is closed after longer than the patience
                with closing(connected(port)) as silent, contextlib.suppress(ConnectionError):
                    silent.sendall(begun)
                    assert ends(silent) == b""
            monkeypatch.setattr(connection, "PATIENCE", patience)
            assert asked(port, "/go") == (200, "gone")
            assert slow.getresponse().read() == b"at last"


def test_a_form_that_never_comes_ends_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pages, "FORM_TIME", 0.05)
    with served(tmp_path / "data") as running, closing(connected(running.port)) as sender:
        head = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        sender.sendall(head + b"Content-Length: 10\r\n\r\nn")
        assert sender.recv(100).startswith(b"HTTP/1.1 408 ")
