"""Which accounts the log's events belong to."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.segment import has_indexes, list_segments, newest, open_sealed, open_to_read, path_of

BY_INDEX: Final = (
    "SELECT DISTINCT account FROM events WHERE account IS NOT NULL AND account > ? ORDER BY account LIMIT 5000"
)
BY_PLACE: Final = "SELECT DISTINCT account FROM events WHERE offset > ? AND offset <= ? AND account IS NOT NULL"
STEP: Final = 10_000  #: events read at once: a reader that takes long keeps the writer's files from being tidied


def accounts_in(folder: Path) -> Iterator[str]:
    """
    Each at least once, newest segments first; in any process, best in a thread. What cannot be read is passed by.

    folder  the log's, such as `<data>/log`; need not exist yet
    """
    firsts = list_segments(folder)
    for first in reversed(firsts):
        path = path_of(folder, first)
        try:
            with closing(open_to_read(path) if first == firsts[-1] else open_sealed(path)) as connection:
                if has_indexes(connection):
                    yield from _by_index(connection)
                else:
                    yield from _by_place(connection, first)
        except (*UNREADABLE, apsw.CantOpenError):
            continue


def _by_index(connection: apsw.Connection) -> Iterator[str]:
    """Without a look at the events themselves."""
    last = ""
    while found := _texts(connection.execute(BY_INDEX, (last,))):
        yield from found
        last = found[-1]


def _by_place(connection: apsw.Connection, first: int) -> Iterator[str]:
    """The active segment has no index."""
    for at in range(first - 1, newest(connection, first), STEP):
        yield from _texts(connection.execute(BY_PLACE, (at, at + STEP)))


def _texts(rows: apsw.Cursor) -> list[str]:
    return [row[0] for row in rows if isinstance(row[0], str)]
