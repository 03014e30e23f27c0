"""What tests of event logs are made of: a clock, events, an engine under test, and what was read, in short."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from milonga.eventlog.api import START, Damaged, EventLog, Offset, Page, Passing, Stored
from milonga.spec.stored import Stamp, Stamped

HOUR = 60 * 60 * 1000


class Clock:
    """Stands still until it is moved. Unix milliseconds."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Engine(Protocol):
    """
    clock    what the opened log goes by
    segment  number of events after which a segment of it ends
    """

    clock: Clock
    segment: int

    async def open(self) -> EventLog:
        """On the same files each time."""
        ...

    def damage(self, offset: Offset) -> None:
        """Change a byte of this event's stored body. The log is closed."""
        ...


class Events:
    """Makes events that differ."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._number = itertools.count(1)

    def one(self, message_id: str | None = None, **changes: Any) -> Stamped:
        number = next(self._number)
        fields: dict[str, Any] = {
            "source": 1,
            "type": "track",
            "message_id": message_id or f"message-{number}",
            "own_message_id": True,
            "user_id": f"user-{number}",
            "anonymous_id": None,
            "account": "acme",
            "account_found": "context.groupId",
            "received_at": self._clock.now,
            "timestamp": self._clock.now,
        }
        body = changes.pop("body", b'{"type":"track","event":"Event %d"}' % number)
        return Stamped(Stamp(**{**fields, **changes}), body)

    def some(self, count: int, **changes: Any) -> list[Stamped]:
        return [self.one(**changes) for _ in range(count)]


class Readable(Protocol):
    async def read(self, partition: int, after: Offset, limit: int) -> list[Stored | Damaged]: ...


async def read_all(log: Readable, after: Offset = START, limit: int = 100) -> list[Stored | Damaged]:
    found: list[Stored | Damaged] = []
    while part := await log.read(0, after, limit):
        assert len(part) <= limit
        found += part
        after = part[-1].position.offset
    return found


async def skimmed(log: EventLog, passing: Passing, limit: int = 7, most: int = 2) -> AsyncIterator[Page]:
    """To the end, as a reader does it: what cannot be skimmed is read."""
    after = START
    while True:
        page = await log.skim(0, after, limit, most, passing)
        if page is None:
            items = await log.read(0, after, 1)
            if not items:
                return
            page = Page(items, items[-1].position.offset)
        assert len(page.items) <= most
        assert after < page.upto <= after + limit
        assert len(page.items) + sum(page.passed.values()) == page.upto - after
        assert offsets(page.items) == sorted(item.position.offset for item in page.items)
        yield page
        after = page.upto


def offsets(found: Sequence[Stored | Damaged]) -> list[Offset]:
    return [one.position.offset for one in found]


def event_of(one: Stored | Damaged) -> Stamped:
    assert isinstance(one, Stored), one
    return one.event


def events_of(found: Sequence[Stored | Damaged]) -> list[Stamped]:
    return [event_of(one) for one in found]


async def poll(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Until it is true, or the test fails."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it never became true"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(engine: Engine) -> Any:
    log = await engine.open()
    try:
        yield log
    finally:
        await log.close()
