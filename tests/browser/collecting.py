"""A small collector for pages: serves what the real one serves to browsers, keeps what they send, refuses on order."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from milonga.collector.ask import Ask
from milonga.collector.cdn import Cdn
from milonga.workspace.model import BrowserDestination, Source
from tests.running import eventually

KEY: Final = "web-key"

STOCK: Final = Path(__file__).parents[2] / "browser/node_modules/@segment/analytics-next/dist/umd/standalone.js"

Event = dict[str, Any]

TOTANGO: Final = {"name": "Totango", "heartbeat": False, "mode": "cloud", "fingerprint": "c0de"}


class Collector:
    """
    destinations  what destinations say to browsers; read anew at each request
    refused       path -> status, for paths that are not to work
    events        taken in, oldest first
    asked         method and path of each request, oldest first
    files         path -> script, beside what the real one serves
    stock         whether it serves Segment's own build in place of ours
    """

    def __init__(self, assets: Path) -> None:
        self.destinations: list[Mapping[str, Any]] = [TOTANGO]
        self.refused: dict[str, int] = {}
        self.events: list[Event] = []
        self.asked: list[str] = []
        self.files: dict[str, str] = {}
        self.stock = False
        source = Source(id=1, name="web", write_keys=(KEY,), created_at=0)
        self._cdn = Cdn(lambda: [source], self._destinations, folder=assets)
        self.host = ""

    def _destinations(self) -> list[BrowserDestination]:
        return [BrowserDestination(source=1, label=one["name"], says=one) for one in self.destinations]

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def named(self, name: str) -> list[Event]:
        """Track events of that name, or all events of that type."""
        return [event for event in list(self.events) if name in (event.get("event"), event["type"])]

    def wait(self, name: str, count: int = 1) -> list[Event]:
        """Until there are so many."""
        eventually(lambda: len(self.named(name)) >= count, f"{count} x {name}, of {self._told()}")
        found = self.named(name)
        assert len(found) == count, (name, found)
        return found

    def one(self, name: str) -> Event:
        return self.wait(name)[0]

    def reached(self, line: str, count: int) -> None:
        """Until that was asked for so many times."""
        eventually(lambda: self.asked.count(line) >= count, f"{count} x {line}")

    def _told(self) -> list[str]:
        return [event.get("event") or str(event["type"]) for event in self.events]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        self.asked.append(f"{handler.command} {path}")
        status = self.refused.get(path, 200)
        if handler.command == "GET":
            if status != 200:
                return send(handler, status, b"no", {})
            if path in self.files:
                return send(handler, 200, self.files[path].encode(), {})
            if self.stock and path.endswith("/analytics.min.js"):
                return send(handler, 200, STOCK.read_bytes().replace(b"__WRITE_KEY__", KEY.encode()), {})
            found = self._cdn.answer(Ask(path=path, host=self.host, secure=False))
            return send(handler, found.status, found.body, {k.decode(): v.decode() for k, v in found.headers})
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        if handler.command == "POST" and status == 200 and path != "/v1/m":
            said = json.loads(body)
            self.events.extend(said.get("batch", [said]))
        return send(handler, status, b'{"success":true}', {})


CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "Authorization, Content-Type, X-Retry-Count",
    "access-control-max-age": "600",
}


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    handler.send_response(status)
    for name, value in {**CORS, **headers, "content-length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


class Site:
    """
    pages  path -> HTML or script
    """

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.host = ""

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        type_ = "text/javascript" if path.endswith(".js") else "text/html"
        page = self.pages.get(path)
        send(
            handler,
            200 if page is not None else 404,
            (page or "").encode(),
            {"content-type": f"{type_}; charset=utf-8"},
        )


@contextmanager
def listening(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Gives host and port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            answer(self)

        do_POST = do_OPTIONS = do_GET  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
