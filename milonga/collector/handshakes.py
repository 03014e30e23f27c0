"""
Accepting TLS connections. While its handshake lasts, a connection is nobody's: neither asyncio nor uvloop tells of it,
so whoever begins many and ends none would take all files the process may open. Here they are counted.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from milonga.collector.tls import GOODBYE, Tls

MOST: Final = 1000  #: handshakes at once, each some 50 KB; one more ends the oldest, which honest senders never have
AT_ONCE: Final = 100  #: connections accepted before anything else gets its turn
PAUSE: Final = 1.0  #: seconds until the next try when the system has no room for a connection


class Handshakes:
    """Accepts from the beginning on, until `close`. Within a running loop."""

    def __init__(
        self,
        listener: socket.socket,
        tls: Tls,
        connect: Callable[[], asyncio.Protocol],
        *,
        patience: float,
        most: int = MOST,
    ) -> None:
        """
        listener  listens, and does not block; closed with this
        connect   makes the protocol of a connection, which begins when its handshake is done
        patience  seconds a handshake may take
        """
        self._listener = listener
        self._tls = tls
        self._connect = connect
        self._patience = patience
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[bool], None] = {}  # oldest first
        self._again: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Accept no more, and end those that are under way."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for task in self._tasks:
            task.cancel()

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                link, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no file, no memory: some connection must end first
                self._loop.remove_reader(self._listener.fileno())
                self._again = self._loop.call_later(PAUSE, self._listen)
                return
            link.setblocking(False)
            if len(self._tasks) >= self._most:
                oldest = next(iter(self._tasks))
                del self._tasks[oldest]
                oldest.cancel()
            task = self._loop.create_task(self._shake(link))
            self._tasks[task] = None
            task.add_done_callback(partial(self._done, link))

    async def _shake(self, link: socket.socket) -> bool:
        """Whether it became a connection."""
        try:
            await self._loop.connect_accepted_socket(
                self._connect,
                link,
                ssl=self._tls.context,
                ssl_handshake_timeout=self._patience,
                ssl_shutdown_timeout=GOODBYE,
            )
        except OSError:  # all that can go wrong in a handshake: ssl.SSLError, TimeoutError, ConnectionError
            return False
        return True

    def _done(self, link: socket.socket, task: asyncio.Task[bool]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled() or not task.result():
            link.close()
