"""Posts alerts as JSON, in order, one at a time; what cannot be posted is given up after a few minutes, and logged."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from milonga.delivery.outgoing import NoAnswer, Outgoing, Reply
from milonga.delivery.sender import Sender

_log = structlog.get_logger("milonga.alerts")

WAITS: Final = (1.0, 5.0, 30.0, 120.0)  #: seconds after each try that failed; after the last of them, one more try
TIMEOUT: Final = 10.0  #: seconds for one try
MOST: Final = 100  #: that wait to be posted; beyond them the oldest is given up


class Posting:
    """
    send   one try: None if it was taken, else why not, in words
    sleep  asyncio.sleep, but for tests
    """

    def __init__(
        self,
        send: Callable[[bytes], Awaitable[str | None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._send, self._sleep = send, sleep
        self._waiting: deque[dict[str, Any]] = deque()
        self._there = asyncio.Event()

    def put(self, message: dict[str, Any]) -> None:
        """On the loop's thread."""
        if len(self._waiting) >= MOST:
            self._give_up(self._waiting.popleft(), f"{MOST} others wait already")
        self._waiting.append(message)
        self._there.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._there.wait()
            while self._waiting:
                await self._post(self._waiting.popleft())
            self._there.clear()

    async def _post(self, message: dict[str, Any]) -> None:
        body = msgspec.json.encode(message)
        why = await self._send(body)
        for wait in WAITS:
            if why is None:
                return
            await self._sleep(wait)
            why = await self._send(body)
        if why is not None:
            self._give_up(message, why)

    def _give_up(self, message: dict[str, Any], why: str) -> None:
        _log.error("alert.not_posted", alert=message["alert"], name=message["name"], state=message["state"], reason=why)


def over_http(url: str, allow_private: bool) -> Callable[[bytes], Awaitable[str | None]]:
    """
    `send` of a Posting: as destinations send, with their rules about addresses. The address may be a secret: of it,
    only host and port are ever told.
    """

    async def send(body: bytes) -> str | None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Reply] = loop.create_future()

        def done(reply: Reply, _: float) -> None:
            if not ended.done():
                ended.set_result(reply)

        sender = Sender(loop, allow_private=allow_private)
        try:
            outgoing = Outgoing(
                method="POST", url=url, headers=(("Content-Type", "application/json"),), body=body, timeout=TIMEOUT
            )
            sender.send(outgoing, done)
            reply = await ended
        finally:
            await sender.close(0)
        if isinstance(reply, NoAnswer):
            return reply.reason
        return None if 200 <= reply.status < 300 else f"It was answered {reply.status}."

    return send
