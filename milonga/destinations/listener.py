"""A small HTTP/1.1 server for pretend receivers: quick, bounded, and able to hang up. It decides nothing."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, Literal, TypeAlias, cast

import httptools
import msgspec
from msgspec import Struct

MAX_HEAD: Final = 512 * 1024  #: bytes read of a request before its headers are complete
MAX_BODY: Final = 4 * 1024 * 1024  #: bytes

HangUp: TypeAlias = Literal["reset", "close"]
"""No answer: the connection is reset, or closed in good order."""


class Call(Struct, frozen=True):
    """One request, read in full. Names of headers in lower case; the path without the query."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes


class Reply(Struct, frozen=True):
    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str | int] = {}


class Turn(Struct, frozen=True):
    """
    What is to be done with a call.

    delay  seconds to wait before `end`
    end    called exactly once, with True if the sender has gone away in the meantime; returns how to answer
    """

    delay: float
    end: Callable[[bool], Reply | HangUp]


class Connection(asyncio.Protocol):
    """One connection; its requests are answered in the order in which they came."""

    def __init__(self, take: Callable[[Call], Turn], connections: "set[Connection]") -> None:
        """
        take         says what to do with a call; must not raise
        connections  holds this one for as long as it is open
        """
        self._take = take
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._waiting: deque[tuple[Call, bool]] = deque()
        self._turn: Turn | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stuffed = False
        self._begin()

    def abort(self) -> None:
        self._transport.abort()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # not one by class where the loop is uvloop's
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._turn is not None:
            turn, self._turn = self._turn, None
            turn.end(True)

    def pause_writing(self) -> None:
        """The sender takes no answers: it is not read from until it does."""
        self._stuffed = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._stuffed = False
        if self._turn is None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        if not self._head_read:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(431, f"More than {MAX_HEAD:,} bytes before the end of the headers")
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            self.abort()
            raise
        except httptools.HttpParserUpgrade:
            self._refuse(400, "No other protocol is spoken here")
        except httptools.HttpParserError:
            self._refuse(400, "This is no HTTP request")

    # what httptools calls

    def on_message_begin(self) -> None:
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._head_read = True
        if "expect" in self._headers and self._headers["expect"].lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size <= MAX_BODY:
            self._body.append(body)
        else:
            self._body.clear()
            self._refuse(413, f"A body of more than {MAX_BODY:,} bytes")

    def on_message_complete(self) -> None:
        self._head_read, self._head_size = False, 0
        if self._transport.is_closing():
            return
        try:
            url = httptools.parse_url(self._url)
        except httptools.HttpParserInvalidURLError:
            self._refuse(400, "The address cannot be read")
            return
        method, path = self._parser.get_method().decode("latin-1"), (url.path or b"/").decode("latin-1")
        call = Call(method, path, url.query or b"", self._headers, b"".join(self._body))
        self._waiting.append((call, self._parser.should_keep_alive()))
        if self._turn is None:
            self._next()
        else:
            self._transport.pause_reading()  # a sender that does not wait for its answers fills no memory here

    # one call after the other

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_size = self._head_size = 0
        self._head_read = False

    def _next(self) -> None:
        while self._waiting and not self._transport.is_closing():
            call, keep_alive = self._waiting.popleft()
            turn = self._take(call)
            if turn.delay > 0:
                self._turn = turn
                self._timer = asyncio.get_running_loop().call_later(turn.delay, self._late, turn, keep_alive)
                return
            self._answer(turn.end(False), keep_alive)
        if not self._stuffed and not self._transport.is_closing():
            self._transport.resume_reading()

    def _late(self, turn: Turn, keep_alive: bool) -> None:
        self._turn = self._timer = None
        self._answer(turn.end(False), keep_alive)
        self._next()

    def _answer(self, reply: Reply | HangUp, keep_alive: bool) -> None:
        if reply == "reset":
            self._transport.abort()
        elif reply == "close":
            self._transport.close()
        elif isinstance(reply, Reply):
            self._transport.write(_encoded(reply, keep_alive))
            if not keep_alive:
                self._transport.close()

    def _refuse(self, status: int, why: str) -> None:
        if not self._transport.is_closing():
            self._answer(json_reply({"error": why}, status), False)


async def close_listener(server: asyncio.Server) -> None:
    """
    Let nobody in any more. asyncio's own `close` alone leaves a socket open if somebody is being let in at that very
    moment (the assertion in `Server._attach`, Python 3.11 and 3.12).
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    await asyncio.sleep(0)  # who was already on the way in has a transport now
    server.close()


def json_reply(value: object, status: int = 200) -> Reply:
    return Reply(status, "application/json", msgspec.json.encode(value))


def _encoded(reply: Reply, keep_alive: bool) -> bytes:
    body = b"" if reply.status in (204, 304) else reply.body
    lines = [f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, 'Unknown')}"]
    if reply.status != 204:
        lines.append(f"content-length: {len(body)}")
    if body:
        lines.append(f"content-type: {reply.content_type}")
    lines.extend(f"{name}: {value}" for name, value in reply.headers.items())
    if not keep_alive:
        lines.append("connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1", "replace") + body


_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
