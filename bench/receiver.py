"""
A receiver that says 200 to everything, as Totango does, or 503 to some, after a given time. A process of its own; it
looks at requests only as much as it must to answer them: what is measured is the sender.
"""

import asyncio
import os
import re
from collections import deque
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Final, cast

import uvloop
from msgspec import Struct

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: 43\r\n\r\n" + b"G" * 43
REFUSAL: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Seen(Struct, frozen=True):
    """
    count        requests so far
    first, last  when the first and the last came: perf_counter, which all processes share on Linux
    kept         (when it came, body) of each, if asked for
    refused      how many of them were
    """

    count: int
    first: float
    last: float
    kept: list[tuple[float, bytes]]
    refused: int = 0


COUNT: Final = "count"  #: asks for a Seen without what was kept, and it forgets nothing: that takes no time


class Refuse(Struct, frozen=True):
    """Tells it what to answer with 503 from now on: what has this in its body. None: nothing."""

    what: bytes | None


def receive(pipe: Connection, latency: float, keep: bool, refuse: bytes | None = None) -> None:
    """
    Sends its port; answers everything it is sent through the pipe with a Seen, and forgets.

    latency  seconds from a whole request to its answer
    keep     the bodies
    refuse   what has this in its body is answered with 503; None: nothing is
    """
    uvloop.run(_receive(pipe, latency, keep, refuse))


async def _receive(pipe: Connection, latency: float, keep: bool, refuse: bytes | None) -> None:
    loop = asyncio.get_running_loop()
    receiver = _Receiver(loop, latency, keep, refuse)
    server = await loop.create_server(lambda: _Line(receiver), "127.0.0.1", 0, backlog=2048)
    ended = asyncio.Event()

    def asked() -> None:
        try:
            said = pipe.recv()
        except EOFError:
            loop.remove_reader(pipe.fileno())
            ended.set()
        else:
            if isinstance(said, Refuse):
                receiver.refuse = said.what
            os.set_blocking(pipe.fileno(), True)  # the loop has made it otherwise, and an answer may be megabytes
            pipe.send(receiver.count() if said == COUNT else receiver.seen())
            os.set_blocking(pipe.fileno(), False)

    loop.add_reader(pipe.fileno(), asked)
    pipe.send(server.sockets[0].getsockname()[1])
    await ended.wait()


class _Receiver:
    def __init__(self, loop: asyncio.AbstractEventLoop, latency: float, keep: bool, refuse: bytes | None) -> None:
        self._loop, self._latency, self._keep, self.refuse = loop, latency, keep, refuse
        self._waiting: deque[tuple[float, asyncio.Transport, bytes]] = deque()
        self._forget()

    def _forget(self) -> None:
        self._count, self._refused, self._first, self._last = 0, 0, 0.0, 0.0
        self._kept: list[tuple[float, bytes]] = []

    def count(self) -> Seen:
        return Seen(self._count, self._first, self._last, [], self._refused)

    def seen(self) -> Seen:
        found = Seen(self._count, self._first, self._last, self._kept, self._refused)
        self._forget()
        return found

    def take(self, transport: asyncio.Transport, body: bytes) -> None:
        now = perf_counter()
        self._first = self._first or now
        self._last = now
        self._count += 1
        if self._keep:
            self._kept.append((now, body))
        answer = ANSWER if self.refuse is None or self.refuse not in body else REFUSAL
        self._refused += answer is REFUSAL
        if not self._latency:
            transport.write(answer)
            return
        self._waiting.append((now + self._latency, transport, answer))
        if len(self._waiting) == 1:
            self._loop.call_later(self._latency, self._answer)

    def _answer(self) -> None:
        now = perf_counter()
        while self._waiting and self._waiting[0][0] <= now:
            _, transport, answer = self._waiting.popleft()
            if not transport.is_closing():  # its sender may have been killed
                transport.write(answer)
        if self._waiting:
            self._loop.call_later(self._waiting[0][0] - now, self._answer)


class _Line(asyncio.Protocol):
    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self._data, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._data) < whole:
                return
            body, self._data = self._data[end + 4 : whole], self._data[whole:]
            self._receiver.take(self._transport, body)
