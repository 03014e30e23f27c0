"""The event log as the rest of the road sees it. Every engine passes tests/eventlog/conformance.py."""

import asyncio
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from milonga.spec.event import EventType
from milonga.spec.stored import Stamped

Offset: TypeAlias = int
"""Place of an event within its partition; grows, and may leave gaps only where a log was trimmed. First: 1."""

START: Offset = 0  #: "after START" reads from the first event there is


class Position(NamedTuple):
    """Compares with others of the same partition only."""

    partition: int
    offset: Offset


class Duplicate(Struct, frozen=True):
    """The event was not stored: `first` holds the same (source, messageId), is durable and under 24 h old."""

    first: Position


class Stored(Struct, frozen=True):
    position: Position
    event: Stamped


class Damaged(Struct, frozen=True):
    """A record whose checksum does not fit. Readers pass it by and say so; nothing of it is ever sent."""

    position: Position
    reason: str


class Passing(Struct, frozen=True):
    """
    Events that a reader passes by: it need not know more of them than how many there are.

    source    of this source
    accounts  whose account, or else user id, is one of these
    but       types of which it reads every event all the same
    """

    source: int
    accounts: Set[str]
    but: Set[EventType]


class Page(Struct, frozen=True):
    """
    What was read.

    items   in order
    upto    every event up to here is among them, or was passed by
    passed  how many were, by account, or else user id
    """

    items: Sequence[Stored | Damaged]
    upto: Offset
    passed: Mapping[str, int] = {}


class LogFull(Exception):
    """The log cannot keep more: the disk is full or unwritable. Nothing of the append was kept; try again."""


class LogReader(Protocol):
    """The reading half of a log, in any process."""

    async def read(self, partition: int, after: Offset, limit: int) -> list[Stored | Damaged]:
        """In order, without gaps but for trimmed ones; an empty list at the end, never a wait."""
        ...

    async def skim(self, partition: int, after: Offset, limit: int, most: int, passing: Passing) -> Page | None:
        """
        Look at up to `limit` events and read only those that are not to be passed by, at most `most` of them. None if
        it takes `read` to say what follows: at the end of the log, around anything damaged or trimmed, and whenever
        that is no dearer.
        """
        ...

    async def wait(self, partition: int, after: Offset, timeout: float) -> bool:
        """Return True as soon as an event beyond `after` can be read, or False after `timeout` seconds."""
        ...

    async def end(self, partition: int) -> Offset:
        """Offset of the newest durable event; START if there never was one."""
        ...

    async def begin(self, partition: int) -> Offset:
        """Offset of the oldest event still kept; end + 1 if none is."""
        ...

    def assignments(self, reader: str) -> list[int]:
        """Partitions this reader is to read now. One machine: always [0]."""
        ...

    async def close(self) -> None:
        """Release files and threads. The writing half first keeps what was acknowledged and ends what is under way."""
        ...


class EventLog(LogReader, Protocol):
    """Both halves, where events are appended."""

    async def append(self, events: Sequence[Stamped]) -> list[Position | Duplicate]:
        """
        Store all or none. On return they survive a power cut. A duplicate is named, not stored: the first copy
        is durable by then. Appends of one caller keep their order. LogFull if they cannot be kept.
        """
        ...

    def submit(self, events: Sequence[Stamped]) -> "asyncio.Future[list[Position | Duplicate]]":
        """`append` without a coroutine, for callers that cannot afford one per event. LogFull also at once."""
        ...

    async def trim(self, partition: int, upto: Offset) -> Offset:
        """Give up events at or before `upto`, in whole segments; return the last offset that is gone."""
        ...


class Discard(Struct, frozen=True, kw_only=True):
    """
    An event that was not accepted, or several of one code.

    source   id of the source; 0 if the write key is unknown
    at       unix milliseconds
    code     Segment's own discard code where it has one, such as `no_user_anon_id`
    reason   in words, naming the field
    excerpt  the first 2,000 bytes of what arrived, for the debugger
    count    how many events this stands for; reason and excerpt are those of one of them
    """

    source: int
    at: int
    code: str
    reason: str
    excerpt: bytes
    count: int = 1


class Refusal(Struct, frozen=True, kw_only=True):
    """
    Requests that were refused, of which nothing was read that could be kept.

    source  id of the source; 0 if none is known
    at      unix milliseconds
    code    of the answer, such as `unknown_write_key`
    count   requests
    """

    source: int
    at: int
    code: str
    count: int


class Ledger(Protocol):
    """Counts of what the collector did not keep: a discard is answered with 200 only once it is counted here."""

    async def discard(self, discards: Sequence[Discard]) -> None:
        """Durable on return. Every one is counted; of each code a bounded number is kept to look at."""
        ...

    def refused(self, refusals: Sequence[Refusal]) -> None:
        """
        Durable within a second or so: nobody was promised that they are kept. It costs a write: collect them for some
        seconds.
        """
        ...
