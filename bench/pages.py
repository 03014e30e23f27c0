"""What a page with Segment's snippet meets: its own site, and a host with the library that takes the events."""

import gzip
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from bench.load import KEY
from milonga.collector.ask import Ask
from milonga.collector.cdn import Cdn
from milonga.workspace.model import BrowserDestination, Source

PATIENCE: Final = 20.0  #: seconds for the first event of a page
SETTINGS: Final = f"/v1/projects/{KEY}/settings"
TOTANGO: Final = {"name": "Totango", "heartbeat": True, "mode": "cloud"}
CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "Authorization, Content-Type, X-Retry-Count",
    "access-control-max-age": "7200",
}

Body = tuple[bytes, Mapping[str, str]]  #: and headers


class Host:
    """
    delay  seconds by which each answer comes later, as over a distance
    came   unix time at which the first event since `forget` had arrived
    """

    def __init__(self, assets: Path, stock: Path, snippet: str) -> None:
        sources = [Source(id=1, name="web", write_keys=(KEY,), created_at=0)]
        destinations = [BrowserDestination(source=1, label="Totango", says=TOTANGO)]
        self._cdn = Cdn(lambda: sources, lambda: destinations, folder=assets)
        self._stock = gzip.compress(stock.read_bytes().replace(b"__WRITE_KEY__", KEY.encode()), 9)
        self._snippet = snippet
        self.delay = 0.0
        self.came = 0.0
        self._first = threading.Event()
        self.site, self.host = _listening(self._page), _listening(self._served)

    def forget(self, delay: float) -> None:
        self.delay, self.came = delay, 0.0
        self._first.clear()

    def first(self) -> float:
        """0.0 if none came in time."""
        return self.came if self._first.wait(PATIENCE) else 0.0

    def _page(self, asked: BaseHTTPRequestHandler) -> Body | None:
        """`/ours` and `/stock`: the same page, but for where the snippet finds the library."""
        url = f"http://127.0.0.1:{self.host.server_port}"
        script = self._snippet.replace("https://__MILONGA_HOST__", f"{url}{asked.path}")
        # By itself the stock build recognises its host over https only.
        where = f'analytics._cdn="{url}";' if asked.path == "/stock" else ""
        script = script.replace("analytics.load(", f"{where}analytics.load(", 1).replace("__WRITE_KEY__", KEY)
        began = "began = performance.timeOrigin + performance.now();"
        head = '<!doctype html><title>Reports</title><link rel="icon" href="data:,">'
        text = f"{head}<body><p>Reports</p><script>{began}{script}</script>"
        return text.encode(), {"content-type": "text/html; charset=utf-8"}

    def _served(self, asked: BaseHTTPRequestHandler) -> Body | None:
        arrived = time.time()
        path = urlsplit(asked.path).path
        body = asked.rfile.read(int(asked.headers.get("content-length", 0)))
        if asked.command == "POST" and b'"type"' in body and not self._first.is_set():
            self.came = arrived
            self._first.set()
        time.sleep(self.delay)
        if asked.command != "GET":
            return b'{"success":true}', {"content-type": "application/json", **CORS}
        about = {"cache-control": "no-cache", "content-encoding": "gzip"}
        if path.startswith("/stock/"):
            return self._stock, {"content-type": "text/javascript; charset=utf-8", **about}
        if path == SETTINGS:
            return gzip.compress(self._plain_settings()), {"content-type": "application/json", **about, **CORS}
        found = self._cdn.answer(self._ask(path.removeprefix("/ours")))
        return (found.body, {k.decode(): v.decode() for k, v in found.headers}) if found.status == 200 else None

    def _plain_settings(self) -> bytes:
        """For the stock build: without our plugin, which it would load as one script more."""
        whole: dict[str, Any] = msgspec.json.decode(self._cdn.answer(self._ask(SETTINGS, accepts=b"")).body)
        return msgspec.json.encode({key: value for key, value in whole.items() if key != "remotePlugins"})

    def _ask(self, path: str, accepts: bytes = b"gzip") -> Ask:
        host = f"127.0.0.1:{self.host.server_port}"
        return Ask(path=path, host=host, secure=False, accepts=accepts, agent=b"Mozilla/5.0")


def _listening(answer: Any) -> ThreadingHTTPServer:
    """answer  gives body and headers of a 200, or None: 404"""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else the body waits for the headers to be acknowledged
        wbufsize = 65536

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            found = answer(self)
            body, headers = found or (b"", {})
            self.send_response(404 if found is None else 200)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_OPTIONS = do_GET  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def serve(pipe: Connection, assets: Path, stock: Path, snippet: str) -> None:
    """In a process of its own. Sends the site's port; takes a delay, answers when it holds; "first" asks for that."""
    host = Host(assets, stock, snippet)
    pipe.send(host.site.server_port)
    while True:
        said = pipe.recv()
        if said == "first":
            pipe.send(host.first())
        else:
            host.forget(said)
            pipe.send("ready")
