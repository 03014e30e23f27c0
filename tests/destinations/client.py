"""A small HTTP client for the tests of pretend receivers: one connection, raw enough to see it dropped."""

import asyncio
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

import msgspec

PATIENCE = 20.0  #: seconds nothing here ever needs; beyond them a test fails


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Client:
    """ConnectionError or asyncio.IncompleteReadError if there is no answer."""

    def __init__(self, url: str) -> None:
        self._at = urlsplit(url)

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self._at.hostname, self._at.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    async def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> None:
        lines = [f"{method} {target} HTTP/1.1", "host: x", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()

    async def answer(self) -> Answer:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(head[0].split()[1]), headers, body)

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        await self.send(method, target, body, **headers)
        return await self.answer()

    async def post(self, target: str = "/pixel.gif/", **params: str) -> Answer:
        """A form. A dot in a name is written as two underscores."""
        form = urlencode({name.replace("__", "."): value for name, value in params.items()})
        return await self.ask("POST", target, form.encode(), content_type="application/x-www-form-urlencoded")

    async def closed(self) -> bool:
        """Wait until the other side has hung up."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.reader.read() == b""
        except ConnectionError:
            return True
