"""Senders who take their time, beside all the others: how long each may, and that it ends."""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Final

from tests.fuzz.judge import code_of
from tests.fuzz.wire import Door, Wire

MOST: Final = 90.0
"""
Seconds after which each must have been told to come again, or left: 30 for a head, 60 for a body and 10 between two
pieces of it, 30 for answers to be taken (docs/tracking-api.md, "Limits"); the rest is for a machine that is busy.
"""

HEAD: Final = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\n"
LONG: Final = HEAD + b"Content-Length: 500000\r\n\r\n"

WAYS: Final[dict[str, Callable[[], Iterator[bytes]]]] = {
    "half a head": lambda: iter([b"POST /v1/batch HT"]),
    "a dripping head": lambda: iter([HEAD, *repeat(b"X-More: 1\r\n", 200)]),
    "half a body": lambda: iter([LONG + b"{"]),
    "a dripping body": lambda: iter([LONG, *repeat(b" ", 200)]),
    "dripping chunks": lambda: iter([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *repeat(b"1\r\n \r\n", 200)]),
    "no body after all": lambda: iter([HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"]),
}


async def chorus(door: Door, each: int = 10) -> list[str]:
    """What is wrong with how the slow were treated; some of every way."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_one(door, name)) for name in WAYS for _ in range(each)]
        tasks += [group.create_task(_deaf(door)) for _ in range(each)]
    return [words for task in tasks if (words := task.result())]


async def _one(door: Door, name: str) -> str:
    """One that sends a piece a second."""
    begun = time.monotonic()
    _, wire = await asyncio.get_running_loop().create_connection(
        lambda: Wire([False]), door.host, door.port, ssl=door.tls
    )
    for piece in WAYS[name]():
        if wire.ended.is_set() or wire.listening.answers or time.monotonic() - begun > MOST:
            break
        wire.transport.write(piece)
        await _for(wire, 1.0)
    await _for(wire, MOST - (time.monotonic() - begun))
    wire.transport.abort()
    said = [(answer.status, code_of(answer)) for answer in wire.listening.answers]
    if said not in ([(503, "slow_headers")], [(503, "slow_body")]):
        return f"{name}: {said} after {time.monotonic() - begun:.0f} s"
    return ""


async def _deaf(door: Door) -> str:
    """One that asks for much and reads none of it."""
    _, wire = await asyncio.get_running_loop().create_connection(lambda: Wire([]), door.host, door.port, ssl=door.tls)
    wire.transport.pause_reading()
    wire.transport.write(b"GET /analytics.js/v1/k/analytics.min.js HTTP/1.1\r\nHost: x\r\n\r\n" * 900)
    await asyncio.sleep(MOST / 2)
    wire.transport.resume_reading()
    await _for(wire, MOST)
    gone = wire.ended.is_set()
    wire.transport.abort()
    return "" if gone else "who took no answers was waited for"


async def _for(wire: Wire, seconds: float) -> None:
    """Until it ends, at most so long."""
    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await wire.ended.wait()
        except TimeoutError:
            pass
