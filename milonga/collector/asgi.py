"""
The collector as a plain ASGI application: reads the body within its bounds, and always answers in JSON. It is the
reference for `milonga.collector.connection`, which serves the product, and for whoever mounts the collector elsewhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.collector import Collector
from milonga.collector.origins import shared_with
from milonga.collector.request import Request
from milonga.collector.routes import Route, is_tracking, route_of
from milonga.collector.trouble import trouble
from milonga.spec.limits import MAX_REQUEST

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

BODY_TIMEOUT: Final = 30.0
"""Seconds a body may take to arrive once it has begun. Ours; it bounds how long a slow sender holds memory."""


class TrackingApp:
    def __init__(self, collector: Collector, *, body_timeout: float = BODY_TIMEOUT) -> None:
        self._collector = collector
        self._body_timeout = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = self._request(scope)
        try:
            answer = await self._answer(request, receive)
        except asyncio.CancelledError:  # the server has waited long enough; the sender learns that it may come again
            answer = answers.STOPPING
        except Exception as error:
            answer = trouble(self._collector.away, scope["path"], error)
        if answer is None:
            return
        headers = answer.headers
        if request.shared is not None and answer is not answers.ORIGIN_NOT_ALLOWED:
            headers = [*headers, *request.shared.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.bare else answer.body})

    def _request(self, scope: Scope) -> Request:
        """All of it but its body."""
        fields: dict[bytes, bytes] = dict(scope["headers"])
        to = route_of(scope["method"], scope["path"])
        client = scope.get("client")
        return Request(
            to,
            target=scope.get("raw_path", scope["path"].encode()) + b"?" + scope.get("query_string", b""),
            peer=self._collector.proxies.peer(client[0] if client else None, secure=scope.get("scheme") == "https"),
            fields=fields,
            authorization=fields.get(b"authorization"),
            encoding=fields.get(b"content-encoding"),
            bare=scope["method"] == "HEAD",
            shared=shared_with(fields[b"origin"]) if b"origin" in fields and is_tracking(to) else None,
        )

    async def _answer(self, request: Request, receive: Receive) -> Answer | None:
        """None if the client is gone."""
        route = request.to
        if isinstance(route, Answer):
            return self._collector.away.wrong_path(request) if route is answers.NOT_FOUND else route
        if int(request.fields.get(b"content-length", b"0")) > MAX_REQUEST:
            return self._collector.away.refuse(answers.TOO_LARGE, request)
        message = await receive()
        if message["type"] != "http.request":
            return None
        if message.get("more_body", False):
            return await self._answer_chunks(route, request, message, receive)
        request.body = message.get("body", b"")  # by far the most: all of it was there already
        if (answer := self._hold(0, request.body, request)) is not None:
            return answer
        try:
            return await self._collector.handle(route, request)
        finally:
            self._collector.room.give_back(len(request.body))

    async def _answer_chunks(self, route: Route, request: Request, message: Message, receive: Receive) -> Answer | None:
        chunks: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self._body_timeout):
                    body = await self._gather(chunks, request, message, receive)
            except TimeoutError:
                return self._collector.away.refuse(answers.SLOW_BODY, request)
            if not isinstance(body, bytes):
                return body
            request.body = body
            return await self._collector.handle(route, request)
        finally:
            self._collector.room.give_back(sum(map(len, chunks)))

    async def _gather(
        self, chunks: list[bytes], request: Request, message: Message, receive: Receive
    ) -> bytes | Answer | None:
        """The body, from this message on; `chunks` are what it holds, also if it is given up."""
        held = 0
        while message["type"] == "http.request":
            chunk: bytes = message.get("body", b"")
            if (answer := self._hold(held, chunk, request)) is not None:
                return answer
            chunks.append(chunk)
            held += len(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)
            message = await receive()
        return None

    def _hold(self, held: int, chunk: bytes, request: Request) -> Answer | None:
        """Take room for a chunk of a body of which `held` bytes are there; what to answer if that cannot be."""
        if held + len(chunk) > MAX_REQUEST:
            return self._collector.away.refuse(answers.TOO_LARGE, request)
        taken = self._collector.room.take(len(chunk), lambda: self._collector.knows(request.authorization))
        return None if taken else self._collector.away.busy()
