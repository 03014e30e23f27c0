"""Serves the metrics over HTTP, on a port of their own: plain, without a password, for one's own network only."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

_log = structlog.get_logger("milonga.metrics")

MOST_ASKERS: Final = 16  #: at once; more are shut out
MOST_HEAD: Final = 8 * 1024  #: bytes of a request's head
PATIENCE: Final = 10.0  #: seconds for one request and its answer

_REQUEST: Final = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.[01]\r\n")
_ACCEPT: Final = re.compile(rb"^accept:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)

Page = Callable[[str], Awaitable[tuple[bytes, str]]]
"""`Accept` header -> body and content type."""


class MetricsListener:
    """
    Listens from `start` on, until `stop`.

    url  where it really listens: also when it was asked for port 0
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._askers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self.url = ""

    @classmethod
    async def start(cls, page: Page, host: str, port: int) -> "MetricsListener":
        """OSError or UnicodeError if the address cannot be had."""
        listener = cls(page)
        listener._server = await asyncio.start_server(listener._take, host, port, limit=MOST_HEAD)
        name, number = listener._server.sockets[0].getsockname()[:2]
        listener.url = f"http://{f'[{name}]' if ':' in name else name}:{number}/metrics"
        return listener

    async def stop(self) -> None:
        self._server.close()
        for asker in tuple(self._askers):
            asker.cancel()
        await asyncio.gather(*self._askers, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._askers) >= MOST_ASKERS:
            writer.transport.abort()
            return
        asker = asyncio.create_task(self._serve(reader, writer))
        self._askers.add(asker)
        asker.add_done_callback(self._askers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(PATIENCE):
                    writer.write(await self._answer(await reader.readuntil(b"\r\n\r\n")))
                    writer.close()
                    await writer.wait_closed()
        finally:
            writer.transport.abort()  # of one that asks and does not read; nothing happens to one that is closed

    async def _answer(self, head: bytes) -> bytes:
        asked = _REQUEST.match(head)
        if asked is None:
            return _answer(b"405 Method Not Allowed", b"GET /metrics is all there is.\n")
        if asked[2].partition(b"?")[0] != b"/metrics":
            return _answer(b"404 Not Found", b"Metrics are at /metrics.\n")
        accept = _ACCEPT.search(head)
        try:
            body, kind = await self._page("" if accept is None else accept[1].decode("latin-1").strip())
        except Exception as error:
            _log.error("metrics.failed", error=f"{type(error).__name__}: {error}")
            return _answer(b"500 Internal Server Error", b"They cannot be had now; the server's log says why.\n")
        return _answer(b"200 OK", body, kind.encode("latin-1"), bare=asked[1] == b"HEAD")


def _answer(status: bytes, body: bytes, kind: bytes = b"text/plain; charset=utf-8", *, bare: bool = False) -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, kind, len(body)) + (b"" if bare else body)
