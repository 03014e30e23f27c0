"""
A gate before a pretend receiver: it takes requests, hands them on, and does to the sender what receivers and networks
do. What the receiver then has is the receiver's to tell.
"""

import asyncio
import random
import ssl
import threading
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Final, Self
from urllib.parse import urlsplit

from milonga.destinations.listener import close_listener

GARBAGE: Final = 200  #: bytes of it


class Mode(Enum):
    """
    open           as if there were no gate
    down           nobody listens
    hanging        takes requests, never answers; the receiver never sees them
    mute           the receiver has taken them in, and no answer comes
    slow           the answer comes, a few bytes at a time
    half_closed    the receiver has taken it in; then the gate closes its half of the connection without an answer
    reset_before   the connection is reset as soon as something comes
    reset_after    it is reset when the receiver has taken the request in
    garbage        what comes back is no HTTP at all
    garbage_200    the head of a 200, then a body of garbage that breaks off
    """

    open = "open"
    down = "down"
    hanging = "hanging"
    mute = "mute"
    slow = "slow"
    half_closed = "half_closed"
    reset_before = "reset_before"
    reset_after = "reset_after"
    garbage = "garbage"
    garbage_200 = "garbage_200"


class Gate:
    """
    Listens on 127.0.0.1 between `with` and its end, in a thread of its own. All methods are for the test's thread.

    handshakes  of TLS that were begun
    """

    def __init__(self, behind: str, dice: random.Random, tls: ssl.SSLContext | None = None) -> None:
        """behind  address of the receiver that the requests are for, as it gives it itself"""
        where = urlsplit(behind)
        self._behind = (where.hostname or "", where.port or 0)
        self._dice, self._tls = dice, tls
        self._mode = Mode.open
        self._share = 1.0
        self._listened = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.handshakes = 0
        self._loop.set_exception_handler(lambda loop, context: None)  # handshakes that fail are what we are after
        self._watch(tls)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def url(self, host: str = "127.0.0.1") -> str:
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    def become(self, mode: Mode, share: float = 1.0) -> None:
        """For requests that come from now on: for all, or a share of them by the dice; the others pass."""
        self._do(lambda: self._become(mode, share))

    def show(self, tls: ssl.SSLContext) -> None:
        """Another certificate, from the next connection on."""

        async def again() -> None:
            self._tls = tls
            self._watch(tls)
            await self._close()
            await self._listen()

        self._do(again)

    def _watch(self, tls: ssl.SSLContext | None) -> None:
        def begun(*_: object) -> None:
            self.handshakes += 1

        if tls is not None:
            tls.sni_callback = begun

    def _do(self, what: Callable[[], Awaitable[None]]) -> None:
        async def call() -> None:
            await what()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(20)

    async def _listen(self) -> None:
        self._listened += 1
        serve = partial(self._serve, self._listened)
        self._server = await asyncio.start_server(serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        """The listener, and all connections with it."""
        self._listened += 1
        if self._server is not None:
            listener, self._server = self._server, None
            await close_listener(listener)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _end(self) -> None:
        await self._close()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:  # somebody who is just being let in
            await asyncio.wait(others, timeout=10)
        await asyncio.sleep(0)  # the transports say good-bye to the loop

    async def _become(self, mode: Mode, share: float) -> None:
        if mode is Mode.down:
            await self._close()
        elif self._server is None:
            await self._listen()
        self._mode, self._share = mode, share

    async def _serve(self, listened: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if listened != self._listened:  # it came when its listener was being closed
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            if self._tls is not None:  # here, so that a handshake under way ends with the task
                await writer.start_tls(self._tls)
            await self._follow(reader, writer)
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        onward, back = None, None
        try:
            while True:
                request = await _message(reader)
                mode = self._mode if self._dice.random() < self._share else Mode.open
                if mode is Mode.reset_before:
                    return
                if mode is Mode.hanging:
                    await _gone(reader)
                    return
                if mode is Mode.garbage:
                    writer.write(self._dice.randbytes(GARBAGE) + b"\r\n\r\n")
                    await writer.drain()
                    writer.close()
                    return
                if back is None:
                    onward, back = await asyncio.open_connection(*self._behind)
                assert onward is not None
                back.write(request)
                answer = await _message(onward)
                match mode:
                    case Mode.mute:
                        await _gone(reader)
                        return
                    case Mode.reset_after:
                        return
                    case Mode.half_closed:
                        if writer.can_write_eof():
                            writer.write_eof()
                        await _gone(reader)
                        return
                    case Mode.garbage_200:
                        writer.write(
                            b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + self._dice.randbytes(GARBAGE)
                        )
                        await writer.drain()
                        writer.close()
                        return
                    case Mode.slow:
                        await _trickle(writer, answer)
                    case _:
                        writer.write(answer)
                        await writer.drain()
        finally:
            if back is not None:
                back.transport.abort()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One request or answer, whole; what comes here says how long it is."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + await reader.readexactly(length)


async def _gone(reader: asyncio.StreamReader) -> None:
    """Until the other side gives up."""
    while await reader.read(65536):
        pass


async def _trickle(writer: asyncio.StreamWriter, answer: bytes) -> None:
    for at in range(0, len(answer), 16):
        writer.write(answer[at : at + 16])
        await writer.drain()
        await asyncio.sleep(0.1)
