"""
A connection to the console: uvicorn's, but whoever sends slowly, without end or nothing at all takes nobody's place.

uvicorn 0.54 bounds neither the head of a request nor the time in which it arrives, and refuses newcomers once so many
are connected, idle ones included.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST: Final = 500  #: connections, and answers under way
MOST_HEAD: Final = 128 * 1024  #: bytes of a request line and its fields: the id of an account in an address has 96 KB
PATIENCE: Final = 30.0  #: seconds in which a head must arrive


class Connection(HttpToolsProtocol):
    """When there are MOST, the one goes whose client has been silent the longest."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head: int | None = 0  #: bytes of it that have come; None: it is whole
        self._heard = self.loop.time()
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def waits_for_its_client(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete or cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()
        if len(self.connections) >= MOST:
            others = [
                one
                for one in self.connections
                if isinstance(one, Connection)
                and one is not self
                and one.waits_for_its_client
                and not one.transport.is_closing()
            ]
            if others:
                min(others, key=lambda one: one._heard).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response(f"Refused: more than {MOST_HEAD:,} bytes before the body.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin()

    def on_headers_complete(self) -> None:
        self._has_come()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head = 0
        super().on_message_complete()

    def _begin(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(PATIENCE, self.transport.close)

    def _has_come(self) -> None:
        self._head = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
