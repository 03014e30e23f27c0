"""The collector as a plain ASGI application: reads the body within its bounds, and always answers in JSON."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import structlog

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.collector import Collector
from milonga.collector.room import Room
from milonga.collector.routes import route_of
from milonga.spec.limits import MAX_REQUEST

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

BODY_TIMEOUT: Final = 30.0
"""Seconds a body may take to arrive once it has begun. Ours; it bounds how long a slow sender holds memory."""

_log = structlog.get_logger("milonga.collector")


class TrackingApp:
    def __init__(self, collector: Collector, *, body_timeout: float = BODY_TIMEOUT) -> None:
        self._collector = collector
        self._body_timeout = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except asyncio.CancelledError:  # the server has waited long enough; the sender learns that it may come again
            answer = answers.STOPPING
        except Exception as error:
            self._collector.count("trouble")
            frames = traceback.extract_tb(error.__traceback__)
            place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            # Only what kind of error and where: its message might quote the body.
            _log.error("request_failed", path=scope["path"], error=type(error).__name__, place=place)
            answer = answers.TROUBLE
        if answer is not None:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        """None if the client is gone."""
        route = route_of(scope["method"], scope["path"])
        if isinstance(route, Answer):
            return route
        authorization = encoding = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"content-encoding":
                encoding = value
            elif name == b"content-length" and int(value) > MAX_REQUEST:
                self._collector.count("refused")
                return answers.TOO_LARGE
        body = _Body(self._collector.room)
        try:
            read = await self._read(body, receive)
            if not isinstance(read, bytes):
                return read
            return await self._collector.handle(route, authorization, encoding, read)
        finally:
            body.release()

    async def _read(self, body: "_Body", receive: Receive) -> bytes | Answer | None:
        message = await receive()
        if message["type"] != "http.request":
            return None
        first: bytes = message.get("body", b"")
        if not message.get("more_body", False):  # by far the most: the whole body was there already
            return first if body.add(first) else self._too_much(body)
        if not body.add(first):
            return self._too_much(body)
        chunks = [first]
        try:
            async with asyncio.timeout(self._body_timeout):
                while message.get("more_body", False):
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    if not body.add(message.get("body", b"")):
                        return self._too_much(body)
                    chunks.append(message.get("body", b""))
        except TimeoutError:
            self._collector.count("refused")
            return answers.SLOW_BODY
        return b"".join(chunks)

    def _too_much(self, body: "_Body") -> Answer:
        if body.too_large:
            self._collector.count("refused")
            return answers.TOO_LARGE
        return self._collector.busy()


class _Body:
    """What one request holds of the room there is."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0
        self.too_large = False

    def add(self, chunk: bytes) -> bool:
        """False if it is too much for a request, or for the room."""
        self.too_large = self._size + len(chunk) > MAX_REQUEST
        if self.too_large or not self._room.take(len(chunk)):
            return False
        self._size += len(chunk)
        return True

    def release(self) -> None:
        self._room.give_back(self._size)
