"""What the collector's tests are made of: a log and a ledger that remember, and a collector on a real socket."""

import asyncio
import base64
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
import uvloop
from msgspec import structs

from milonga.collector.asgi import TrackingApp
from milonga.collector.collector import Collector
from milonga.collector.heads import Heads
from milonga.collector.reading import Clock, Reader
from milonga.collector.request import Request
from milonga.collector.server import HttpServer
from milonga.eventlog.api import (
    Damaged,
    Discard,
    Duplicate,
    LogFull,
    Offset,
    Page,
    Passing,
    Position,
    Refusal,
    Stored,
)
from milonga.identity.message_id import new_message_id
from milonga.spec.event import Event
from milonga.spec.read import read_stamped
from milonga.spec.stored import Stamped
from milonga.workspace.model import Source, SourceSettings
from tests.collector.uvicorn_server import UvicornServer

T = TypeVar("T")
Server: TypeAlias = HttpServer | UvicornServer
Front: TypeAlias = Literal["asgi", "own", "uvloop"]
"""The ASGI application under uvicorn, for reference; our own server on asyncio's loop; the same on uvloop's."""

KEY = "WK_TEST_abc123"  #: of source 1, and the one in the captured requests
BASIC = "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()
HEAD = b"POST /v1/t HTTP/1.1\r\nHost: x\r\nAuthorization: " + BASIC.encode() + b"\r\n"  #: open: more may follow
NOW = 1_795_309_200.0  #: 2026-11-22T01:00:00Z


class RecordingLog:
    """
    Keeps events in memory.

    full       appends are refused
    broken     appends fail in a way nobody foresaw
    held       appends wait for it; each that does is released into `appending`
    """

    def __init__(self) -> None:
        self.events: list[Stamped] = []
        self.full = False
        self.broken = False
        self.held: asyncio.Event | None = None
        self.appending = asyncio.Semaphore(0)

    async def append(self, events: Sequence[Stamped]) -> list[Position | Duplicate]:
        return await self.submit(events)

    def submit(self, events: Sequence[Stamped]) -> asyncio.Future[list[Position | Duplicate]]:
        """What the log keeps is decided at once, as with a real one."""
        return asyncio.ensure_future(self._answer(self._keep(events)))

    def _keep(self, events: Sequence[Stamped]) -> list[Position | Duplicate]:
        if self.full:
            raise LogFull
        places: list[Position | Duplicate] = []
        for event in events:
            first = self._first(event)
            if first is None:
                self.events.append(event)
                places.append(Position(0, len(self.events)))
            else:
                places.append(Duplicate(first))
        return places

    async def _answer(self, places: list[Position | Duplicate]) -> list[Position | Duplicate]:
        if self.broken:
            raise RuntimeError("secret of the body")
        if self.held is not None:
            self.appending.release()
            await self.held.wait()
        return places

    def _first(self, event: Stamped) -> Position | None:
        for offset, other in enumerate(self.events, 1):
            if event.stamp.own_message_id and other.stamp.message_id == event.stamp.message_id:
                return Position(0, offset)
        return None

    async def read(self, partition: int, after: Offset, limit: int) -> list[Stored | Damaged]:
        raise NotImplementedError

    async def skim(self, partition: int, after: Offset, limit: int, most: int, passing: Passing) -> Page | None:
        raise NotImplementedError

    async def wait(self, partition: int, after: Offset, timeout: float) -> bool:
        raise NotImplementedError

    async def end(self, partition: int) -> Offset:
        raise NotImplementedError

    async def begin(self, partition: int) -> Offset:
        raise NotImplementedError

    async def trim(self, partition: int, upto: Offset) -> Offset:
        raise NotImplementedError

    def assignments(self, reader: str) -> list[int]:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class RecordingLedger:
    def __init__(self) -> None:
        self.discards: list[Discard] = []
        self.refusals: list[Refusal] = []
        self.full = False

    async def discard(self, discards: Sequence[Discard]) -> None:
        if self.full:
            raise LogFull
        self.discards.extend(discards)

    def refused(self, refusals: Sequence[Refusal]) -> None:
        self.refusals.extend(refusals)


class Answered:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        code: str = self.json["code"]
        return code


class Bench:
    """
    A collector with everything around it; `post` goes through the ASGI application without a socket.

    sources  by their keys; tests may change their settings at any time
    """

    def __init__(self, **options: Any) -> None:
        self.sources = {KEY: source(1, KEY), "second": source(2, "second")}
        self.log = RecordingLog()
        self.ledger = RecordingLedger()
        self.ready = True
        self.noticed: list[tuple[str, int]] = []
        timeout = options.pop("body_timeout", 30.0)
        settings: dict[str, Any] = {
            "log": self.log,
            "ledger": self.ledger,
            "source_of": self.source_of,
            "clock": lambda: NOW,
            "new_id": new_message_id,
            "ready": lambda: self.ready,
            "notice": lambda what, number: self.noticed.append((what, number)),
        }
        self.collector = Collector(**{**settings, **options})
        self.app = TrackingApp(self.collector, body_timeout=timeout)

    def source_of(self, key: str) -> Source | None:
        return self.sources.get(key)

    def set(self, key: str = KEY, **settings: Any) -> None:
        """Settings of a source; those not named are at their defaults."""
        self.sources[key] = structs.replace(self.sources[key], settings=SourceSettings(**settings))

    @property
    def events(self) -> list[Event]:
        return [read_stamped(stamped) for stamped in self.log.events]

    @property
    def codes(self) -> list[str]:
        """Of what was discarded, one for each event."""
        return [discard.code for discard in self.ledger.discards for _ in range(discard.count)]

    def post(self, path: str, body: Any, *, key: str | None = KEY, headers: dict[str, str] | None = None) -> Answered:
        """body  bytes as they are, anything else as JSON"""
        return asyncio.run(self.ask("POST", path, body, key=key, headers=headers))

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = b"",
        *,
        key: str | None = KEY,
        headers: dict[str, str] | None = None,
        receive: Callable[[], Any] | None = None,
    ) -> Answered:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        fields = {"content-length": str(len(raw)), **(headers or {})}
        if key is not None:
            fields["authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "client": ("192.0.2.1", 5000),
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        }
        sent: list[Any] = []

        async def all_at_once() -> Any:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive or all_at_once, send)
        start, content = sent
        return Answered(
            start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, content["body"]
        )

    async def serve(self, front: Front = "uvloop", *, grace: float = 5, **options: Any) -> Server:
        """options  of our own server"""
        if front == "asgi":
            return await UvicornServer.start(self.app, "127.0.0.1", 0, grace=grace)
        return await HttpServer.start(self.collector, "127.0.0.1", 0, grace=grace, **options)

    @contextmanager
    def listening(self, front: Front = "uvloop", **options: Any) -> Iterator[Server]:
        """On a real socket, in a thread of its own: for clients that wait for their answers."""
        loop = new_loop(front)
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self.serve(front, **options), loop).result(10)
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


def source(id_: int, key: str) -> Source:
    return Source(id=id_, name=f"source-{id_}", write_keys=(key,), created_at=0)


def new_loop(front: Front) -> asyncio.AbstractEventLoop:
    return uvloop.new_event_loop() if front == "uvloop" else asyncio.new_event_loop()


def run(front: Front, scenario: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=lambda: new_loop(front)) as runner:
        return runner.run(scenario)


def send(server: Server, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answered:
    """One request over a connection of its own, redirects not followed."""
    connection = HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answered(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def track(**more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Paid", "userId": "u1", "messageId": "m1", **more}


def talk(server: Server, *parts: bytes) -> bytes:
    """Write all parts to one connection, then read until it is closed."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


EVENT = msgspec.json.encode(track())


def request(body: bytes = EVENT, *headers: bytes) -> bytes:
    """An event as it is posted."""
    return HEAD + b"".join(b"%b\r\n" % header for header in headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def reader_of(
    bench: Bench,
    take: Callable[[Request], None],
    *,
    heads: Heads | None = None,
    clock: Clock | None = None,
    head_patience: float = 1,
    body_patience: float = 1,
    stall_patience: float = 1,
) -> Reader:
    """The reading side of a connection without a socket. Its clock stands still, its sender is never told to go on."""
    return Reader(
        bench.collector,
        clock or Clock(0.0, b""),
        heads or Heads(),
        head_patience=head_patience,
        body_patience=body_patience,
        stall_patience=stall_patience,
        take=take,
        ask_on=lambda: None,
    )
