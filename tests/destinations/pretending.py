"""A pretend Totango, and a connection to it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from milonga.destinations.pretend import KEEP, Pretend
from milonga.destinations.totango.fake import PretendTotango, Totango
from tests.destinations.client import PATIENCE, Client

R = TypeVar("R")

Act = Callable[[Pretend[Totango], Client], Awaitable[R]]


def with_totango(act: Act[R], keep: int = KEEP) -> R:
    """What `act` returns, given a pretend Totango and a connection to it."""

    async def run() -> R:
        async with PretendTotango(keep=keep) as fake, Client(fake.url) as client:
            return await act(fake, client)

    return asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
