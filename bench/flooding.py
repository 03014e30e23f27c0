"""Who sends in `isolation`: a thousand accounts at a steady pace, one that floods, one that is refused. Processes."""

import asyncio
import re
import time
from collections.abc import Iterable
from itertools import islice
from multiprocessing.connection import Connection
from typing import Final

import uvloop
from msgspec import Struct

from bench.load import batch_in_pieces, head
from bench.samples import ID_LENGTH, Sample, message_ids, numbered

FLOOD: Final = 200_000  #: events of the flooding account, sent as fast as they are taken
USERS: Final = 1_000  #: of the flooding account: so many lines
BATCH: Final = 100  #: events of one of its requests, as SDKs send them
SENDERS: Final = 4  #: connections it comes over, each with users of its own
REFUSED: Final = 300  #: events of the account whose requests are answered with 503, of as many users
OTHERS: Final = 1_000  #: accounts that go on
PACE: Final = 200  #: their single events a second
LINES: Final = 32  #: connections they come over
HOST_PORT: Final = 8080  #: in the flood's Host header, which is written before the server's port is known

Times = dict[int, float]
"""Number of an event -> when something happened to it, by perf_counter, which all processes share on Linux."""


class Said(Struct, frozen=True):
    """When each event of the others was sent, and when it was answered with 200."""

    sent: Times
    accepted: Times


def others(pipe: Connection) -> None:
    """Takes (port, seconds), sends single events of OTHERS accounts at PACE, and answers with a Said."""
    pipe.send("ready")
    first = 10_000_000
    while True:
        port, seconds = pipe.recv()
        said = uvloop.run(_go_on(port, first, int(seconds * PACE)))
        pipe.send(said)
        first += int(seconds * PACE)


async def _go_on(port: int, first: int, count: int) -> Said:
    due: asyncio.Queue[int | None] = asyncio.Queue()
    sent: Times = {}
    accepted: Times = {}

    async def line() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (number := await due.get()) is not None:
            account = f"other-{number % OTHERS}"
            request = _single(port, numbered(number, account, "u"))
            sent[number] = time.perf_counter()
            writer.write(request)
            await _answered(reader)
            accepted[number] = time.perf_counter()
        writer.close()

    async with asyncio.TaskGroup() as lines:
        for _ in range(LINES):
            lines.create_task(line())
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(began + number / PACE - time.perf_counter())
            due.put_nowait(first + number)
        for _ in range(LINES):
            due.put_nowait(None)
    return Said(sent, accepted)


def flood(pipe: Connection) -> None:
    """
    Takes a port, sends the refused account's events and then the flood; answers with when that began and ended.

    Requests are made before: a flood comes from other machines, which would not take this one's cores to make it.
    """
    refused = _requests([numbered(number, "refused", f"u{number}") for number in range(REFUSED)])
    floods = []
    for sender in range(SENDERS):
        numbers = range(REFUSED + sender, REFUSED + FLOOD, SENDERS)
        floods.append(_requests(numbered(number, "flood", f"u{number % USERS}") for number in numbers))
    pipe.send("ready")
    port = pipe.recv()
    pipe.send(uvloop.run(_pour(port, refused, floods)))
    pipe.recv()  # until the other end closes


def _requests(events: Iterable[Sample]) -> list[bytes]:
    made, left = [], iter(events)
    while some := list(islice(left, BATCH)):
        pieces = batch_in_pieces(HOST_PORT, some)
        pieces[1::2] = message_ids(len(some))
        made.append(b"".join(pieces))
    return made


async def _pour(port: int, refused: list[bytes], floods: list[list[bytes]]) -> tuple[float, float]:
    await _send(port, refused)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as senders:
        for requests in floods:
            senders.create_task(_send(port, requests))
    return began, time.perf_counter()


async def _send(port: int, requests: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        writer.write(request)
        await _answered(reader)
    writer.close()


def _single(port: int, event: Sample) -> bytes:
    (id_,) = message_ids(1)
    length = len(event.head) + ID_LENGTH + len(event.tail)
    return head(port, "/v1/track", length) + event.head + id_ + event.tail


async def _answered(reader: asyncio.StreamReader) -> None:
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"Answered with {answer.splitlines()[0].decode()}")
    length = re.search(rb"content-length: *([0-9]+)", answer, re.IGNORECASE)
    await reader.readexactly(int(length[1]) if length else 0)
