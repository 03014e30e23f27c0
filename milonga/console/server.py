"""The console's own HTTP server, on a socket that somebody else has bound."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import Final

import uvicorn
from starlette.applications import Starlette

from milonga.console import connection
from milonga.console.services import Services

GOODBYE: Final = 3  #: seconds that answers under way get at the end


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Whoever runs us hears the signals."""
        yield


async def serve(app: Starlette, listener: socket.socket, stop: asyncio.Event, tls: SSLContext | None = None) -> None:
    """Until `stop` is set; then answers under way are finished, and streams to viewers end."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=connection.Connection,
        ws="none",
        lifespan="on",
        limit_concurrency=connection.MOST,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GOODBYE,
    )
    config.load()
    config.ssl = tls
    server = _Server(config)
    services: Services = app.state.services

    async def end() -> None:
        await stop.wait()
        services.closing.set()
        server.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await server.serve(sockets=[listener])
    finally:
        ending.cancel()
