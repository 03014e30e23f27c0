"""The HTTP server: listens, counts its connections, keeps their clock, stops in an orderly way."""

import asyncio
import resource
import socket
from email.utils import formatdate
from typing import Final

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.collector import Collector
from milonga.collector.connection import Connection, Patience, Unread
from milonga.collector.handshakes import MOST as MOST_HANDSHAKES
from milonga.collector.handshakes import Handshakes
from milonga.collector.heads import Heads
from milonga.collector.reading import Clock
from milonga.collector.tls import HANDSHAKE, Tls

BACKLOG: Final = 2048  #: connections that wait to be accepted; beyond them the kernel makes clients wait
GRACE: Final = 30.0  #: seconds requests under way may take to end when the server stops
MOST_CONNECTIONS: Final = 10_000  #: more are answered with 503 at once
OTHER_FILES: Final = 200  #: the process has open besides connections
SEND_BUFFER: Final = 128 * 1024
"""
Bytes of answers that the kernel keeps of each connection; by itself it goes up to 4 MiB, for minutes even after we gave
the connection up. The largest answer, the browser library, has 100 KB.
"""
LAST_WORDS: Final = 2.0  #: seconds that the 503s after the grace time have to leave


class HttpServer:
    """
    Listens from `start` on, until `stop`.

    host, port  where it really listens: also when it was asked for port 0
    """

    def __init__(
        self,
        collector: Collector,
        listener: socket.socket,
        patience: Patience,
        grace: float,
        most_connections: int,
        tls: Tls | None,
    ) -> None:
        self._collector = collector
        self._tls = tls
        self._patience = patience
        self._grace = grace
        self._most_connections = most_connections
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._heads = Heads()
        self._unread = Unread()
        self._all_left = asyncio.Event()
        self._stopping = False
        self._server: asyncio.Server | Handshakes
        self._clock = Clock(0.0, b"")
        self._tick()
        name = listener.getsockname()
        self.host: str = name[0]
        self.port: int = name[1]

    @classmethod
    async def start(
        cls,
        collector: Collector,
        host: str,
        port: int,
        *,
        grace: float = GRACE,
        patience: Patience | None = None,
        most_connections: int = MOST_CONNECTIONS,
        tls: Tls | None = None,
        handshake: float = HANDSHAKE,
    ) -> "HttpServer":
        """OSError if the address cannot be had."""
        listener = _listen(host, port)
        files = _files() - OTHER_FILES
        most_handshakes = 0 if tls is None else min(MOST_HANDSHAKES, files // 4)
        most = min(most_connections, files - most_handshakes)
        server = cls(collector, listener, patience or Patience(), grace, most, tls)
        if tls is None:
            server._server = await server._loop.create_server(server._connect, sock=listener, backlog=BACKLOG)
        else:
            listener.listen(BACKLOG)
            server._server = Handshakes(listener, tls, server._connect, patience=handshake, most=most_handshakes)
        return server

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    async def stop(self) -> None:
        """
        Accept no more, close idle connections, finish what is under way. What is not finished after the grace time is
        answered with 503, and its sender sends it again.
        """
        self._stopping = True
        self._server.close()
        for connection in tuple(self._connections):
            connection.finish()
        if not await self._wait(self._grace):
            for connection in tuple(self._connections):
                connection.give_up()
            if not await self._wait(LAST_WORDS):
                for connection in tuple(self._connections):
                    connection.abort()
                await self._wait(LAST_WORDS)
        self._ticking.cancel()

    async def _wait(self, seconds: float) -> bool:
        """Whether all connections ended in time."""
        if self._connections:
            self._all_left.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._all_left.wait()
            except TimeoutError:
                return False
        return True

    def _connect(self) -> Connection:
        return Connection(
            self._collector,
            self._clock,
            self._heads,
            self._patience,
            self._unread,
            joined=self._joined,
            left=self._left,
        )

    def _joined(self, connection: Connection) -> Answer | None:
        if self._stopping:
            return answers.STOPPING
        if len(self._connections) >= self._most_connections:
            return self._collector.away.busy()
        self._connections.add(connection)
        return None

    def _left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_left.set()

    def _tick(self) -> None:
        """One timer for all, so that no request has to set and cancel its own."""
        self._clock.at(self._loop.time(), f"date: {formatdate(usegmt=True)}\r\n".encode())
        for connection in tuple(self._connections):
            connection.look()
        if self._tls is not None:
            self._tls.look()
        self._ticking = self._loop.call_later(self._patience.tick, self._tick)


def _files() -> int:
    """How many files this process may have open; the limit is raised as far as that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + MOST_HANDSHAKES + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # connections inherit it
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
