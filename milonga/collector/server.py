"""The HTTP server: uvicorn inside our own program, which owns the event loop and the signals."""

import asyncio
import socket
from typing import Final

import uvicorn

from milonga.collector.asgi import TrackingApp

KEEP_ALIVE: Final = 75  #: seconds an idle connection stays open; SDKs flush every 10 to 30 seconds
BACKLOG: Final = 2048  #: connections that wait to be accepted; beyond them the kernel makes clients wait
GRACE: Final = 30  #: seconds requests under way may take to end when the server stops


class HttpServer:
    """
    Listens from `start` on, until `stop`.

    host, port  where it really listens: also when it was asked for port 0
    """

    def __init__(self, server: uvicorn.Server, listener: socket.socket, loop: "asyncio.Task[None]") -> None:
        self._server = server
        self._listener = listener
        self._loop = loop
        name = listener.getsockname()
        self.host: str = name[0]
        self.port: int = name[1]

    @classmethod
    async def start(cls, app: TrackingApp, host: str, port: int, *, grace: int = GRACE) -> "HttpServer":
        """OSError if the address cannot be had."""
        listener = _listen(host, port)
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=grace,
        )
        config.load()
        server = uvicorn.Server(config)
        # What Server.serve does, without the signal handlers it would install.
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        return cls(server, listener, asyncio.create_task(server.main_loop()))

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    async def stop(self) -> None:
        """
        Accept no more, close idle connections, finish what is under way. What is not finished after the grace time is
        answered with 503, and its sender sends it again.
        """
        self._server.should_exit = True
        await self._loop
        await self._server.shutdown(sockets=[self._listener])


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
