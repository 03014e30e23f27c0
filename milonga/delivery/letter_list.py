"""
Dead letters as people look for them: by destination, code and what they are about, page by page, in the order of their
death. Reads only. The `dead` table has an index for each order asked for, so a page costs what it shows; what has no
index is looked for among so many letters at most, and the page says where it stopped.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from msgspec import Struct

from milonga.delivery.rows import DeadLetter, event_of, parts_of
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position
from milonga.spec.event import EventType

AT_ONCE: Final = 200  #: letters that are read together at most
LOOKED_AT: Final = 5_000  #: of one page


class LetterFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Every one that is given must fit, exactly.

    since, until  unix milliseconds of death: from, and up to but without
    """

    code: str | None = None
    type: EventType | None = None
    account: str | None = None
    user: str | None = None
    message_id: str | None = None
    since: int | None = None
    until: int | None = None

    def fits(self, letter: DeadLetter) -> bool:
        stamp = letter.event.stamp
        return (
            self.code in (None, letter.code)
            and self.type in (None, stamp.type)
            and self.account in (None, stamp.account)
            and self.user in (None, stamp.user_id)
            and self.message_id in (None, stamp.message_id)
            and (self.since is None or letter.died_at >= self.since)
            and (self.until is None or letter.died_at < self.until)
        )

    @property
    def needs_a_look(self) -> bool:
        """At the event itself: no count or index knows whether it fits."""
        return (self.type, self.account, self.user, self.message_id) != (None,) * 4


ALL: Final = LetterFilter()


class LetterMark(NamedTuple):
    """A place between two dead letters, in the order of their death."""

    died_at: int
    destination: int
    partition: int
    offset: int


BEFORE_ALL: Final = LetterMark(-1, 0, 0, 0)
AFTER_ALL: Final = LetterMark(2**62, 0, 0, 0)


class LetterPage(Struct, frozen=True):
    """
    next     where the next page begins; None if there is none
    stopped  it ends because so many were looked at, not because it is full
    """

    letters: list[DeadLetter]
    next: LetterMark | None
    stopped: bool


def letters(
    reader: DeliveryReader,
    wanted: LetterFilter = ALL,
    destination: int | None = None,
    *,
    beyond: LetterMark | None = None,
    limit: int = 50,
    newest_first: bool = True,
    look_at: int | None = None,
) -> LetterPage:
    """
    destination  its id; None: of all
    look_at      so many at most; None: LOOKED_AT
    beyond       a page's `next`; None: from the beginning
    """
    found: list[DeadLetter] = []
    looked, mark = 0, beyond
    while looked < (look_at or LOOKED_AT):
        # Where the query decides what fits, one more than is wanted tells whether there are any.
        size = AT_ONCE if wanted.needs_a_look else min(AT_ONCE, limit + 1 - len(found))
        page = list(_page(reader, wanted, destination, mark, newest_first, size))
        for letter in page:
            if len(found) == limit:
                return LetterPage(found, mark, stopped=False)
            mark = mark_of(letter)
            if wanted.fits(letter):
                found.append(letter)
        looked += len(page)
        if len(page) < size:
            return LetterPage(found, None, stopped=False)
    return LetterPage(found, mark, stopped=len(found) < limit)


def mark_of(letter: DeadLetter) -> LetterMark:
    return LetterMark(letter.died_at, letter.destination, *letter.position)


def count_by_code(reader: DeliveryReader, destination: int) -> dict[str, tuple[int, int, int]]:
    """Code -> (how many there are, when the first and the last of them died, unix milliseconds). By the index alone."""
    query = "SELECT code, count(*), min(died_at), max(died_at) FROM dead WHERE destination = ? GROUP BY code"
    return {code: (n, first, last) for code, n, first, last in reader.rows(query, (destination,))}


def _page(
    reader: DeliveryReader,
    wanted: LetterFilter,
    destination: int | None,
    mark: LetterMark | None,
    newest_first: bool,
    size: int,
) -> Iterator[DeadLetter]:
    where: list[str] = []
    args: list[Any] = []
    for condition, value in (
        ("destination = ?", destination),
        ("code = ?", wanted.code),
        ("died_at >= ?", wanted.since),
        ("died_at < ?", wanted.until),
    ):
        if value is not None:
            where.append(condition)
            args.append(value)
    sign, way = ("<", "DESC") if newest_first else (">", "ASC")
    if mark is not None:
        # The index is entered by the first column alone; by the sign SQLite knows that it need not look for another.
        where += [f"died_at {sign}= ?", f"(+died_at, destination, partition, offset) {sign} (?, ?, ?, ?)"]
        args += [mark.died_at, *mark]
    conditions = " AND ".join(where) or "1"
    order = ", ".join(f"{column} {way}" for column in ("died_at", "destination", "partition", "offset"))
    query = f"SELECT * FROM dead WHERE {conditions} ORDER BY {order} LIMIT ?"  # noqa: S608 - texts of this function
    for number, partition, offset, died_at, code, reason, parts, stamp, body in reader.rows(query, (*args, size)):
        yield DeadLetter(
            destination=number,
            position=Position(partition, offset),
            died_at=died_at,
            code=code,
            reason=reason,
            parts=parts_of(parts),
            event=event_of(stamp, body),
        )
