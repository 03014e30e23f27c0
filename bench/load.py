"""
The load generator: a process of its own that sends requests made beforehand over kept connections, and measures. Raw
sockets on uvloop, the message ids patched in: it must cost much less than any server it measures.
"""

import asyncio
import base64
from array import array
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Final, cast

import uvloop
from msgspec import Struct

from bench.measure import cpu_of, own_cpu, percentile
from bench.samples import ID_LENGTH, Sample, message_ids, mix, tracks

KEY: Final = "bench"
SAMPLES: Final = 500  #: different events; only their message ids never repeat
TICK: Final = 0.002  #: seconds between two looks at what a paced load must send


class Load(Struct, frozen=True, kw_only=True):
    """
    port         of the server
    connections  each has one request under way
    batch        events of a request; 1 is `POST /v1/track`
    seconds      that are measured
    warm         seconds of the same load before measuring begins
    per_second   requests; None: as many as the server takes. With a pace, a request's time counts from when it was due
    watch        processes whose CPU time is measured with it
    """

    port: int
    connections: int = 64
    batch: int = 1
    seconds: float
    warm: float = 0.4
    per_second: float | None = None
    watch: tuple[int, ...] = ()


class Took(Struct, frozen=True, kw_only=True):
    """
    requests, events  answered with 200
    refused           answered otherwise
    seconds           measured
    p50, p99, most    milliseconds from sending to the whole answer
    cpu               seconds of each watched process
    own               share of a core this generator itself took
    """

    requests: int
    events: int
    refused: int
    seconds: float
    p50: float
    p99: float
    most: float
    cpu: dict[int, float]
    own: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def generate(pipe: Connection) -> None:
    """Takes Loads from the pipe, answers each with a Took."""
    pipe.send("ready")
    while True:
        pipe.send(uvloop.run(_Generator(pipe.recv()).run()))


class _Generator:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = _requests(load)
        self._idle: deque[_Line] = deque()
        self._lines: list[_Line] = []
        self._due: deque[float] = deque()
        self.times = array("d")
        self.refused = 0
        self.measuring = self.ended = False
        self._trouble = ""

    async def run(self) -> Took:
        load, loop = self._load, asyncio.get_running_loop()
        loop.set_exception_handler(self._broken)
        for _ in range(load.connections):
            await loop.create_connection(lambda: _Line(self), "127.0.0.1", load.port)
        pacing = None
        if load.per_second is None:
            for line in self._lines:
                line.send(next(self._requests), perf_counter())
        else:
            self._idle.extend(self._lines)
            pacing = loop.create_task(self._pace(load.per_second))
        await asyncio.sleep(load.warm)
        cpu, own, began = {pid: cpu_of(pid) for pid in load.watch}, own_cpu(), perf_counter()
        self.measuring = True
        await asyncio.sleep(load.seconds)
        self.measuring, self.ended = False, True
        if self._trouble:
            raise RuntimeError(self._trouble)
        seconds, own = perf_counter() - began, own_cpu() - own
        spent = {pid: cpu_of(pid) - before for pid, before in cpu.items()}
        if pacing is not None:
            pacing.cancel()
        for line in self._lines:
            line.hang_up()
        if not self.times:
            raise RuntimeError(f"No request was answered with 200; {self.refused} otherwise")
        return Took(
            requests=len(self.times),
            events=len(self.times) * load.batch,
            refused=self.refused,
            seconds=seconds,
            p50=percentile(self.times, 0.5) * 1000,
            p99=percentile(self.times, 0.99) * 1000,
            most=max(self.times) * 1000,
            cpu=spent,
            own=own / seconds,
        )

    async def _pace(self, per_second: float) -> None:
        began, sent = perf_counter(), 0
        while True:
            due = int((perf_counter() - began) * per_second)
            self._due.extend(began + number / per_second for number in range(sent, due))
            sent = due
            while self._due and self._idle:
                self._idle.popleft().send(next(self._requests), self._due.popleft())
            await asyncio.sleep(TICK)

    def _broken(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """What fails in a callback must not be overlooked: the load would be less than it says."""
        self._trouble = self._trouble or f"{context.get('message')}: {context.get('exception')!r}"

    def connected(self, line: "_Line") -> None:
        self._lines.append(line)

    def answered(self, line: "_Line", seconds: float, *, ok: bool) -> None:
        if self.measuring:
            if ok:
                self.times.append(seconds)
            else:
                self.refused += 1
        if self.ended:
            return
        if self._load.per_second is None:
            line.send(next(self._requests), perf_counter())
        elif self._due:
            line.send(next(self._requests), self._due.popleft())
        else:
            self._idle.append(line)


class _Line(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._since = 0.0
        self._answer = b""
        self._length = 0  #: of a whole 200; all of them are alike

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._generator.connected(self)

    def send(self, request: bytes, since: float) -> None:
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        answer = self._answer + data if self._answer else data
        if len(answer) != self._length:
            length = _length_of(answer)
            if length is None or len(answer) < length:
                self._answer = answer
                return
            if answer.startswith(b"HTTP/1.1 200"):
                self._length = length
        self._answer = b""
        self._generator.answered(self, perf_counter() - self._since, ok=answer.startswith(b"HTTP/1.1 200"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self._generator.ended:
            raise ConnectionError(f"The server closed a connection: {error}")

    def hang_up(self) -> None:
        self._transport.abort()


def _length_of(answer: bytes) -> int | None:
    """Bytes of the whole answer; None if its head is not there yet."""
    head, found, _ = answer.partition(b"\r\n\r\n")
    if not found:
        return None
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(head) + 4 + int(value)
    return len(head) + 4


def _requests(load: Load) -> Iterator[bytes]:
    return _singles(load.port) if load.batch == 1 else _batches(load.port, load.batch)


def _singles(port: int) -> Iterator[bytes]:
    made = [
        (head(port, "/v1/track", len(one.head) + ID_LENGTH + len(one.tail)) + one.head, one.tail)
        for one in tracks(SAMPLES)
    ]
    while True:
        for (before, after), id_ in zip(made, message_ids(SAMPLES), strict=True):
            yield before + id_ + after


def _batches(port: int, size: int) -> Iterator[bytes]:
    samples = mix(size * 20)
    batches = [batch_in_pieces(port, samples[at : at + size]) for at in range(0, len(samples), size)]
    while True:
        for pieces in batches:
            pieces[1::2] = message_ids(size)
            yield b"".join(pieces)


def batch_in_pieces(port: int, samples: list[Sample]) -> list[bytes]:
    """In pieces: every second one is a message id."""
    pieces = [b""] * (2 * len(samples) + 1)
    body = b'{"sentAt":"2026-11-22T10:10:10.700000+00:00","batch":['
    for place, sample in enumerate(samples):
        pieces[2 * place] = body + sample.head
        body = sample.tail + b","
    pieces[-1] = body[:-1] + b"]}"
    length = sum(map(len, pieces)) + ID_LENGTH * len(samples)
    pieces[0] = head(port, "/v1/batch", length) + pieces[0]
    return pieces


def head(port: int, path: str, length: int) -> bytes:
    key = base64.b64encode(f"{KEY}:".encode()).decode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: analytics-python/2.4.0\r\n"
        f"Authorization: Basic {key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()
