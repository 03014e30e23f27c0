"""
The live view, without any I/O: what a viewer wants to see, and how much of it goes to it. A viewer gets at most some
twenty rows a second, and is told how many more there were.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from milonga.eventlog.api import START, Discard, Position, Stored
from milonga.spec.called import name_in
from milonga.spec.event import EventType
from milonga.spec.stored import Stamped

RATE: Final = 20.0  #: rows a second that a viewer gets, in the long run
BURST: Final = 40.0  #: rows that it gets at once after a quiet time
QUEUE: Final = 100  #: rows that wait for a viewer that is slow to take them
LONGEST_SEARCH: Final = 200  #: characters


class Row(Struct):
    """
    An event that arrived, or one that was discarded. Made once, however many look at it.

    position  None of a discarded one
    at        unix milliseconds of arrival
    source    id; 0: not known
    type      None of a discarded one
    user      the user id, else the anonymous id
    code      why it was discarded; "" if it was not
    event     what the log holds of it
    discard   what is kept of it
    text      encoded, once somebody is to see it
    """

    position: Position | None
    at: int
    source: int
    type: EventType | None = None
    user: str | None = None
    account: str | None = None
    message_id: str | None = None
    code: str = ""
    event: Stamped | None = None
    discard: Discard | None = None
    text: bytes | None = None
    _name: str | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def name(self) -> str | None:
        """What a track, page or screen call is called. Read from the body when first asked for."""
        if self._name is msgspec.UNSET:
            self._name = None if self.event is None else name_in(self.event)
        return self._name


def row_of(stored: Stored) -> Row:
    stamp = stored.event.stamp
    return Row(
        position=stored.position,
        at=stamp.received_at,
        source=stamp.source,
        type=stamp.type,
        user=stamp.user_id if stamp.user_id is not None else stamp.anonymous_id,
        account=stamp.account,
        message_id=stamp.message_id,
        event=stored.event,
    )


def row_of_discard(discard: Discard) -> Row:
    return Row(position=None, at=discard.at, source=discard.source, code=discard.code, discard=discard)


Where: TypeAlias = Literal["", "name", "user", "account", "message_id"]


class Wish(Struct, frozen=True, kw_only=True):
    """
    What a viewer wants to see. Everything that is given must fit.

    source  id
    text    found in what `where` names, whatever its case
    where   "": in any of them, and in the code of what was discarded
    """

    source: int | None = None
    type: EventType | None = None
    text: str = ""
    where: Where = ""

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves out anything of its source."""
        return self.type is not None or bool(self.text)

    def fits(self, row: Row) -> bool:
        return (
            self.source in (None, row.source)
            and self.type in (None, row.type)
            and (not self.text or self._finds(self.text.casefold(), row))
        )

    def _finds(self, sought: str, row: Row) -> bool:
        match self.where:
            case "name":
                found = (row.name,)
            case "user":
                found = (row.user,)
            case "account":
                found = (row.account,)
            case "message_id":
                found = (row.message_id,)
            case "":
                if any(sought in one.casefold() for one in (row.user, row.account, row.message_id, row.code) if one):
                    return True
                found = (row.name,)  # which costs a look into the body
        return any(sought in one.casefold() for one in found if one)


class Taken(Struct, frozen=True):
    """
    What a viewer gets at once.

    rows      oldest first
    shed      how many fitted and are not shown, for they were too many
    passed    how many were not even looked at
    position  up to which the log was looked through; None if nothing was since
    trouble   why nothing can be read at the moment; "" if it can
    """

    rows: list[Row]
    shed: int
    passed: int
    position: Position | None
    trouble: str

    def __bool__(self) -> bool:
        return bool(self.rows or self.shed or self.passed or self.trouble)


class Viewer:
    """
    One that watches. Who offers never waits for it.

    since  offset up to which it has seen the log already
    """

    def __init__(self, wish: Wish, now: float, since: int = START) -> None:
        """now  seconds, by a clock that never goes back; so in all that follows"""
        self.wish, self.since = wish, since
        self._tokens, self._filled_at = BURST, now
        self._rows: deque[Row] = deque()
        self._shed = self._passed = 0
        self._position: Position | None = None
        self._trouble = ""
        self._news = asyncio.Event()

    def offer(self, rows: Sequence[Row], passed: int, position: Position | None, now: float) -> None:
        """
        rows    that fit, oldest first; of too many the newest are taken
        passed  how many others there were that nobody looked at
        """
        if self.since:
            rows = [row for row in rows if row.position is None or row.position.offset > self.since]
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * RATE)
        self._filled_at = now
        taken = rows[max(0, len(rows) - int(self._tokens)) :]
        self._tokens -= len(taken)
        self._rows.extend(taken)
        over = max(0, len(self._rows) - QUEUE)
        for _ in range(over):
            self._rows.popleft()
        self._shed += len(rows) - len(taken) + over
        self._passed += passed
        self._position = position or self._position
        self._trouble = ""
        if rows or passed:
            self._news.set()

    def missed(self, number: int) -> None:
        """So many fitted, and could not be shown."""
        if number:
            self._shed += number
            self._news.set()

    def tell(self, trouble: str) -> None:
        """Nothing can be read, and why."""
        self._trouble = trouble
        self._news.set()

    def wake(self) -> None:
        self._news.set()

    def take(self) -> Taken:
        """Everything there is for it."""
        taken = Taken(list(self._rows), self._shed, self._passed, self._position, self._trouble)
        self._rows.clear()
        self._shed = self._passed = 0
        self._position, self._trouble = None, ""
        self._news.clear()
        return taken

    async def wait(self, timeout: float) -> bool:
        """Whether there is anything to take; False after so many seconds without."""
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return False
        return True
