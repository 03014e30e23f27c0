"""Rows of one segment as a reader gets them. Whatever cannot be read is named, and the rest is read all the same."""

from contextlib import closing

import apsw

from milonga.eventlog.api import Damaged, Offset, Stored
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.record import RECORD, missing, stored

SCAN = f"SELECT {RECORD} FROM events WHERE offset > ? ORDER BY offset LIMIT ?"  # noqa: S608
ONE = f"SELECT {RECORD} FROM events WHERE offset = ?"  # noqa: S608


def read_rows(
    connection: apsw.Connection, after: Offset, last: Offset | None, limit: int, most_bytes: int
) -> list[Stored | Damaged]:
    """
    The events behind `after` in this segment, every offset once, at most `limit` of them and about `most_bytes`
    of bodies, but at least one if there is one.

    after  not before the segment's first - 1
    last   the segment's last offset if it is sealed: up to it nothing may be missing
    """
    found: list[Stored | Damaged] = []
    expected, size = after + 1, 0
    try:
        with closing(connection.execute(SCAN, (after, limit))) as rows:
            for row in rows:
                while expected < row[0] and len(found) < limit:
                    found.append(missing(expected, "it is missing"))
                    expected += 1
                if len(found) >= limit:
                    return found
                found.append(stored(row))
                expected += 1
                size += _size_of(row[2])
                if size >= most_bytes:
                    return found
    except UNREADABLE:
        found += _one_by_one(connection, expected, last, limit - len(found), most_bytes - size)
        return found
    while last is not None and expected <= last and len(found) < limit:
        found.append(missing(expected, "it is missing"))
        expected += 1
    return found


def _one_by_one(
    connection: apsw.Connection, expected: Offset, last: Offset | None, limit: int, most_bytes: int
) -> list[Stored | Damaged]:
    """Around a damaged page. In the active segment up to the newest event that can still be found."""
    if last is None:
        try:
            last = connection.execute("SELECT max(offset) FROM events").get or expected - 1
        except UNREADABLE:
            last = expected - 1
    found: list[Stored | Damaged] = []
    for offset in range(expected, min(last, expected + limit - 1) + 1):
        try:
            row = connection.execute(ONE, (offset,)).fetchone()
        except UNREADABLE as error:
            found.append(missing(offset, f"its page cannot be read: {error}"))
            continue
        found.append(missing(offset, "it is missing") if row is None else stored(row))
        if row is not None:
            most_bytes -= _size_of(row[2])
        if most_bytes <= 0:
            break
    return found


def _size_of(body: object) -> int:
    """Damage may have made anything of it."""
    return len(body) if isinstance(body, bytes) else 0


def all_damaged(first: Offset, last: Offset, limit: int, reason: str) -> list[Stored | Damaged]:
    """A file that cannot be opened at all."""
    return [missing(offset, reason) for offset in range(first, min(last, first + limit - 1) + 1)]
