"""A gate between an SDK and Milonga: it writes down what really comes, and can answer in Milonga's place."""

import gzip
import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from msgspec import Struct

from milonga.collector.answers import Answer
from tests.running import PATIENCE

BETWEEN_TWO = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade"}
"""Headers that are between two neighbours, and so not passed on. In lower case."""


FOR_PAGES = [
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "Retry-After, X-RateLimit-Reset"),
]
"""What Milonga's own answers have for pages of other sites."""


class Lost(Enum):
    """Milonga gets it and answers; the sender never hears of it."""

    lost = 0


LOST = Lost.lost


class Sent(Struct, frozen=True, kw_only=True):
    """
    One request as it came.

    headers   names in lower case
    body      as sent, without the framing of chunks
    status    of the answer, whoever gave it; 0 if it was lost on the way
    asked     seconds: its Retry-After; 0 without
    started   seconds of the monotonic clock: when the request line had been read
    answered  the same, when the answer was about to be written
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    asked: int
    started: float
    answered: float

    @property
    def json(self) -> Any:
        packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json.get("batch", [self.json])
        return found


class Gate:
    """
    Listens between `with` and its end.

    port  of Milonga
    tls   with it, https only
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.sent: list[Sent] = []
        self.instead: deque[Answer | Lost] = deque()  #: what becomes of the next requests that carry events
        gate = self

        class Handler(_Handler):
            def handle_one(self) -> None:
                gate._handle(self)

        self._port = port
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.tls = tls
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE)
        self._server.server_close()

    @property
    def host(self) -> str:
        """Name and port, without a scheme, as phones want it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}"

    @property
    def posts(self) -> list[Sent]:
        """The requests that carry events, in the order of their answers."""
        return [one for one in self.sent if one.method == "POST" and one.path.rstrip("/") != "/v1/m"]

    def _handle(self, handler: "_Handler") -> None:
        started = time.monotonic()
        chunks = list(handler.body())
        carries = handler.command == "POST" and not handler.path.startswith("/v1/m")
        fate = self.instead.popleft() if carries and self.instead else None
        if isinstance(fate, Answer):
            answer = fate.status, [(name.decode(), value.decode()) for name, value in fate.headers], fate.body
            if "origin" in handler.headers:  # a page would not be shown it otherwise
                answer[1].extend(FOR_PAGES)
        else:
            answer = self._pass_on(handler, chunks, "transfer-encoding" in handler.headers)
        status, headers, body = answer
        self.sent.append(
            Sent(
                method=handler.command,
                path=handler.path,
                headers={name.lower(): value for name, value in handler.headers.items()},
                body=b"".join(chunks),
                status=0 if fate is LOST else status,
                asked=next((int(value) for name, value in headers if name.lower() == "retry-after"), 0),
                started=started,
                answered=time.monotonic(),
            )
        )  # before its sender goes on
        if fate is LOST:
            handler.hang_up()
        else:
            handler.answer(status, headers, body)

    def _pass_on(
        self, handler: "_Handler", chunks: list[bytes], chunked: bool
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The same path, headers, framing and bytes, to Milonga."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                if name.lower() not in BETWEEN_TWO:
                    connection.putheader(name, value)
            if chunked:
                connection.putheader("Transfer-Encoding", "chunked")
            elif handler.command == "POST":
                connection.putheader("Content-Length", str(sum(map(len, chunks))))
            if self._scheme == "https":
                connection.putheader("X-Forwarded-Proto", "https")
            connection.endheaders(chunks or None, encode_chunked=chunked)
            answer = connection.getresponse()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in BETWEEN_TWO]
            return answer.status, headers, answer.read()
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake is the connection's own thread's business."""
        if self.tls is not None:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                return  # a client that does not trust us; its test will say so
        with request:
            super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An SDK that hangs up is no fault of the test's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        raise NotImplementedError

    def do_POST(self) -> None:
        self.handle_one()

    do_GET = do_OPTIONS = do_HEAD = do_POST  # noqa: N815

    def body(self) -> Iterator[bytes]:
        """The body in the pieces in which it came."""
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        elif length := int(self.headers.get("content-length", 0)):
            yield self.rfile.read(length)

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self) -> None:
        """Without an answer."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    log_message: Callable[..., None] = lambda *_: None
