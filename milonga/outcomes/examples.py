"""
Finding examples of what became of events: by destination, state and code, newest first, page by page. Rows that were
not delivered have an index of their own (`by_code` in milonga.outcomes.files), so a page costs what it shows, however
many outcomes are kept. What was delivered, and files of before there was that index, are looked through from their
newest events on, and no further than LOOKED_AT rows of a file.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw
from msgspec import Struct

from milonga.eventlog.aside import UNREADABLE
from milonga.outcomes.files import is_begun, open_to_read, outcome_of, path_of, segments
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.reader import OutcomeReader

LOOKED_AT: Final = 20_000  #: rows of a file without an index
MOST_FILES: Final = 200  #: of one call
LATE: Final = (
    3_600  #: seconds an end may have waited to be written, say for room on the disk: then it is in a later file
)
MOST_CODES: Final = 200  #: of one call that asks for all: there are as many as kinds of failure, and filters


class Mark(NamedTuple):
    """A place between two outcomes: ended_at (unix milliseconds), then the event's position."""

    ended_at: int
    partition: int
    offset: int


NEWEST: Final = Mark(2**62, 0, 0)


class Examples(Struct, frozen=True):
    """
    outcomes  newest end first
    next      where the next page begins; None if there is none
    stopped   some were perhaps not found: a file without an index was not looked through to its end, or there were too
              many files, and the next page goes on behind them
    """

    outcomes: list[Outcome]
    next: Mark | None
    stopped: bool


class _Found(Struct, frozen=True):
    created_at: int
    newest_at: int
    rows: list[tuple[Any, ...]]
    stopped: bool


def examples(
    reader: OutcomeReader,
    destination: int,
    state: State,
    code: str | None = None,
    *,
    before: Mark = NEWEST,
    limit: int = 20,
) -> Examples:
    """
    Outcomes of one destination that ended so, before a mark. Of an event with several, each counts; whoever shows them
    looks for a newer one (`OutcomeReader.of_many`).

    code  None: whatever it is
    """
    numbers = segments(reader.folder)
    upto = len(numbers)
    if before != NEWEST:
        latest = before.ended_at // 1000 + LATE
        upto = bisect_right(numbers, latest, key=lambda number: _created_at(reader.folder, number))
    found: list[tuple[Any, ...]] = []
    stopped, oldest = False, 0
    newest_first = numbers[: max(upto, 1)][::-1]

    def ask(db: apsw.Connection) -> Iterator[_Found]:
        yield _in_file(db, destination, state, code, before, limit + 1)

    for one in reader.of_each(ask, newest_first[:MOST_FILES]):
        if len(found) > limit and _mark(found[limit]).ended_at > one.newest_at * 1000 + 999:
            break  # all of it ended before the last one of this page
        stopped |= one.stopped
        found = sorted({_mark(row): row for row in [*found, *one.rows]}.values(), key=_mark, reverse=True)[: limit + 1]
        oldest = one.created_at * 1000
    outcomes = [outcome_of(row) for row in found[:limit]]
    if len(found) > limit:
        return Examples(outcomes, _mark(found[limit - 1]), stopped)
    if len(newest_first) > MOST_FILES:
        return Examples(outcomes, Mark(oldest, 0, 0), stopped=True)
    return Examples(outcomes, None, stopped)


def _in_file(db: apsw.Connection, destination: int, state: State, code: str | None, before: Mark, limit: int) -> _Found:
    created_at, newest_at = next(db.execute("SELECT created_at, newest_at FROM about"))
    if state is not State.delivered and _has_index(db):
        codes = _codes(db, destination, state) if code is None else [code]
        pages = [db.execute(_INDEXED, (destination, int(state), one, *before, limit)).fetchall() for one in codes]
        rows = list(islice(merge(*pages, key=_mark, reverse=True), limit))
        return _Found(created_at, newest_at, rows, stopped=False)
    counted_as = None if state is State.delivered else code  # replays are counted apart
    if db.execute(_COUNTED, (destination, int(state), counted_as)).fetchone() is None:
        return _Found(created_at, newest_at, [], stopped=False)
    query = _SCANNED.format("" if code is None else "AND code = ?7")
    given = (LOOKED_AT, destination, int(state), *before, *(() if code is None else (code,)))
    rows = sorted(db.execute(query, given), key=_mark, reverse=True)[:limit]
    kept = next(db.execute("SELECT ifnull(sum(n), 0) FROM counters"))[0]
    return _Found(created_at, newest_at, rows, stopped=kept > LOOKED_AT)


_INDEXED: Final = (
    "SELECT * FROM outcomes INDEXED BY by_code WHERE destination = ? AND state = ? AND code = ? AND state <> 1"
    " AND (ended_at, partition, offset) < (?, ?, ?) ORDER BY ended_at DESC, partition DESC, offset DESC LIMIT ?"
)
_NEXT_CODE: Final = (
    "SELECT code FROM outcomes INDEXED BY by_code WHERE destination = ? AND state = ? AND code {} ? AND state <> 1"
    " ORDER BY code LIMIT 1"
)
_COUNTED: Final = "SELECT 1 FROM counters WHERE destination = ?1 AND state = ?2 AND (?3 IS NULL OR code = ?3) LIMIT 1"
_SCANNED: Final = (
    "SELECT * FROM (SELECT * FROM outcomes ORDER BY partition DESC, offset DESC LIMIT ?1)"
    " WHERE destination = ?2 AND state = ?3 AND (ended_at, partition, offset) < (?4, ?5, ?6) {}"
)


def _codes(db: apsw.Connection, destination: int, state: State) -> list[str]:
    """Of its rows, by the index alone: from each code to the next one."""
    found: list[str] = []
    while len(found) < MOST_CODES:
        beyond = found[-1] if found else ""
        further = db.execute(_NEXT_CODE.format(">" if found else ">="), (destination, int(state), beyond)).fetchone()
        if further is None:
            break
        found.append(further[0])
    return found


def _has_index(db: apsw.Connection) -> bool:
    return bool(next(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'by_code'"))[0])


def _mark(row: tuple[Any, ...]) -> Mark:
    partition, offset, _, ended_at, *_ = row
    return Mark(ended_at, partition, offset)


def _created_at(folder: Path, number: int) -> int:
    """Unix seconds; 0 of one that cannot be read, which leaves no other out."""
    try:
        with closing(open_to_read(path_of(folder, number))) as db:
            return int(next(db.execute("SELECT created_at FROM about"))[0]) if is_begun(db) else 0
    except (apsw.CantOpenError, *UNREADABLE):
        return 0
