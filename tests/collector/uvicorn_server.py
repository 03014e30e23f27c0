"""The reference: the plain ASGI application under uvicorn, with the same methods as our own server."""

import asyncio
import socket

import uvicorn

from milonga.collector.asgi import TrackingApp


class UvicornServer:
    def __init__(self, server: uvicorn.Server, listener: socket.socket, loop: "asyncio.Task[None]") -> None:
        self._server = server
        self._listener = listener
        self._loop = loop
        self.host, self.port = listener.getsockname()[:2]

    @classmethod
    async def start(cls, app: TrackingApp, host: str, port: int, *, grace: float = 30) -> "UvicornServer":
        listener = socket.create_server((host, port))
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
            timeout_graceful_shutdown=int(grace),
        )
        config.load()
        server = uvicorn.Server(config)
        # What Server.serve does, without the signal handlers it would install.
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        return cls(server, listener, asyncio.create_task(server.main_loop()))

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._loop
        await self._server.shutdown(sockets=[self._listener])
