"""The sender's side of a connection, and HTTP answers out of its bytes: nothing but HTTP is let pass."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Sequence
from typing import Final, cast

from msgspec import Struct

from tests.fuzz.conversation import Conversation

PATIENCE: Final = 90.0  #: seconds a conversation never needs, also beside other load
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [A-Za-z -]+")
_HEADER: Final = re.compile(rb"([a-z][a-z-]*): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")


class NotHttp(Exception):
    """What the server wrote is no answer. The message holds its beginning."""


class Heard(Struct, frozen=True):
    """
    One answer.

    headers   names in lower case, each once
    continue_ whether it was told to go on before
    """

    status: int
    headers: dict[str, str]
    body: bytes
    continued: bool = False


class Listening:
    """
    Answers, from bytes as they come.

    bare  of each request, in order, whether its answer has no body (HEAD)
    """

    def __init__(self, bare: Sequence[bool]) -> None:
        self._bare = bare
        self._buffer = bytearray()
        self._continued = False
        self.answers: list[Heard] = []

    @property
    def rest(self) -> bytes:
        """Not yet an answer."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> None:
        """NotHttp."""
        self._buffer += data
        while self._next():
            pass

    def _next(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        status = _status(lines[0])
        headers = _headers(lines[1:])
        if status == 100:
            if headers or self._continued:
                raise NotHttp(lines)
            self._continued = True
            del self._buffer[: end + 4]
            return True
        size = self._size(status, headers)
        if len(self._buffer) < end + 4 + size:
            return False
        body = bytes(self._buffer[end + 4 : end + 4 + size])
        del self._buffer[: end + 4 + size]
        self.answers.append(Heard(status, headers, body, self._continued))
        self._continued = False
        return True

    def _size(self, status: int, headers: dict[str, str]) -> int:
        number = len(self.answers)
        if status in (204, 304) or (number < len(self._bare) and self._bare[number]):
            return 0
        length = headers.get("content-length", "")
        if not length.isascii() or not length.isdecimal() or "transfer-encoding" in headers:
            raise NotHttp(headers)
        return int(length)


def _status(line: bytes) -> int:
    found = _STATUS.fullmatch(line)
    if found is None:
        raise NotHttp(line[:200])
    return int(found[1])


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None or found[1].decode() in headers:
            raise NotHttp(line[:200])
        headers[found[1].decode()] = found[2].decode()
    return headers


class Wire(asyncio.Protocol):
    """Keeps what it heard also if the connection is reset afterwards."""

    def __init__(self, bare: Sequence[bool]) -> None:
        self.listening = Listening(bare)
        self.fault: NotHttp | None = None
        self.ended = asyncio.Event()
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self.listening.feed(data)
        except NotHttp as fault:
            self.fault = fault
            self.transport.abort()
        self._news.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set()
        self._news.set()

    async def answered(self, number: int) -> None:
        """Wait for so many answers, or the end."""
        while len(self.listening.answers) < number and not self.ended.is_set():
            self._news.clear()
            await self._news.wait()


class Said(Struct, frozen=True):
    """
    What came of a conversation.

    rest    bytes that were no whole answer when it ended
    fault   what was no HTTP, or that there was no end
    cut     we ended it before the server did, as TLS has no way to end one half
    """

    answers: list[Heard]
    rest: bytes
    fault: str
    cut: bool


class Door(Struct, frozen=True):
    """Where the server listens. tls  None if it speaks plain HTTP"""

    port: int
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None


async def converse(door: Door, said: Conversation) -> Said:
    """OSError if there is no connection to be had."""
    bare = [draft.method == b"HEAD" for draft in said.drafts]
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(lambda: Wire(bare), door.host, door.port, ssl=door.tls)
    fault = ""
    try:
        async with asyncio.timeout(PATIENCE):
            await _say(wire, said)
    except TimeoutError:
        fault = "no end"
    wire.transport.abort()
    heard = wire.listening
    if wire.fault is not None:
        fault = f"no HTTP: {wire.fault.args[0]!r}"
    return Said(heard.answers, heard.rest, fault, said.end == "half" and door.tls is not None)


async def _say(wire: Wire, said: Conversation) -> None:
    for number, piece in enumerate(said.pieces):
        if said.paced:
            await wire.answered(number)
        if wire.transport.is_closing():
            break
        wire.transport.write(piece)
        if not said.paced:
            await asyncio.sleep(0)
    match said.end:
        case "close":
            wire.transport.close()
        case "reset":
            _make_it_a_reset(wire.transport)
            wire.transport.close()
        case "half":
            whole = sum(draft.answers == "one" for draft in said.drafts)
            halves = wire.transport.can_write_eof()
            if not halves or (said.number % 2 and whole == len(said.drafts)):
                await wire.answered(whole)
            if not halves:
                wire.transport.abort()
            elif not wire.transport.is_closing():
                wire.transport.write_eof()
    await wire.ended.wait()


def _make_it_a_reset(transport: asyncio.Transport) -> None:
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
