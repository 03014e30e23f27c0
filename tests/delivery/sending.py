"""A sender and a real server that answers it as a test says."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from milonga.delivery.outgoing import NoAnswer, Outgoing, Reply
from milonga.delivery.sender import Sender
from milonga.destinations.contract import Answer
from tests.running import PATIENCE

Run = Callable[[Coroutine[Any, Any, None]], None]

FORM = (("Content-Type", "application/x-www-form-urlencoded"),)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Received:
    def __init__(self, connection: int, line: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.connection = connection
        self.line = line
        self.headers = dict(headers)
        self.body = body


class Receiver:
    """
    A server that answers as `answer` says: bytes to write, or a coroutine function (request, writer) that does what it
    likes. `requests` is what arrived whole; `connections` how many were accepted; `lost` how many of them have ended.
    """

    def __init__(self) -> None:
        self.answer: bytes | Callable[[Received, asyncio.StreamWriter], Awaitable[None]] = OK
        self.requests: list[Received] = []
        self.connections = 0
        self.lost = 0
        self.port = 0
        self.arrived = asyncio.Event()

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                line, *rest = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
                headers = [(n.lower(), v.strip()) for n, _, v in (h.partition(b":") for h in rest)]
                body = await reader.readexactly(int(dict(headers).get(b"content-length", b"0")))
                self.requests.append(Received(number, line, headers, body))
                self.arrived.set()
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                else:
                    await self.answer(self.requests[-1], writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.lost += 1
            writer.close()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await receiver._serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await server.wait_closed()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # let the aborted transports say their good-bye to the loop


@asynccontextmanager
async def sending(**options: Any) -> AsyncIterator[Sender]:
    sender = Sender(asyncio.get_running_loop(), **{"allow_private": True, **options})
    try:
        yield sender
    finally:
        await sender.close(0)


def post(url: str, body: bytes = b"a=b", **changes: Any) -> Outgoing:
    return Outgoing(**{"method": "POST", "url": url, "headers": FORM, "body": body, "timeout": PATIENCE, **changes})


async def reply_to(sender: Sender, outgoing: Outgoing) -> Reply:
    reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def done(given: Reply, seconds: float) -> None:
        assert 0 <= seconds < 100
        reply.set_result(given)  # raises if it is called twice

    sender.send(outgoing, done)
    return await reply


async def answer_to(sender: Sender, outgoing: Outgoing) -> Answer:
    reply = await reply_to(sender, outgoing)
    assert isinstance(reply, Answer), reply
    return reply


async def failure_of(sender: Sender, outgoing: Outgoing) -> NoAnswer:
    reply = await reply_to(sender, outgoing)
    assert isinstance(reply, NoAnswer), reply
    return reply


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110  # what is waited for is often in the kernel
            await asyncio.sleep(0.005)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a receiver that crashed does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def bound(listen: int | None) -> Iterator[int]:
    """A port that refuses (None), or listens without accepting."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        if listen is not None:
            sock.listen(listen)
        yield sock.getsockname()[1]
