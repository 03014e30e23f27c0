"""
How an event is written: one row of a segment, readable by anyone with a SQLite shell.

    sqlite3 0000000000000001.db "select offset, stamp ->> 'type', cast(body as text) from events limit 5"
"""

import zlib
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import msgspec
import structlog

from milonga.eventlog.api import Damaged, Offset, Position, Stored
from milonga.spec.stored import FORMAT, Stamp, Stamped

TABLES = """
CREATE TABLE events (
  offset      INTEGER PRIMARY KEY,
  received_at INTEGER NOT NULL,  -- unix milliseconds; this column and the next four repeat the stamp, for look-ups
  source      INTEGER NOT NULL,
  message_id  TEXT NOT NULL,
  user_id     TEXT,
  account     TEXT,
  stamp       TEXT NOT NULL,     -- what the collector found out: JSON
  body        BLOB NOT NULL,     -- the event as it arrived, mended where it was no JSON
  crc         INTEGER NOT NULL   -- CRC-32 of stamp and body
);
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""

INDEXES = """
CREATE INDEX IF NOT EXISTS events_user ON events (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_account ON events (account) WHERE account IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_message_id ON events (message_id, source);
"""
"""Derived; made once a segment is sealed, all in one transaction."""

COLUMNS = "offset, received_at, source, message_id, user_id, account, stamp, body, crc"
RECORD = "offset, stamp, body, crc"  #: what `stored` reads
MOST_TOLD = 20  #: kinds of unreadable stamps that are logged
ROWS_PER_STATEMENT = 100  #: the fewer statements, the less often the writer must ask for the interpreter again

log = structlog.get_logger("milonga.eventlog")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Stamp).decode


class UnknownFormat(Exception):
    """This file was written by a newer Milonga, or by another program. Use the version that wrote it."""


Record: TypeAlias = tuple[int, int, str, str | None, str | None, str, bytes, int]
"""One row: COLUMNS but for the offset, which only the writer knows."""


def record(event: Stamped) -> Record:
    """An event that cannot be written is a ValueError or a TypeError here, so that it spoils nobody else's append."""
    stamp, body = event.stamp, event.body
    text = _encode(stamp)
    crc = zlib.crc32(body, zlib.crc32(text))
    return (
        stamp.received_at,
        stamp.source,
        stamp.message_id,
        stamp.user_id,
        stamp.account,
        text.decode(),
        body,
        crc,
    )


@cache
def insert(rows: int) -> str:
    """The statement for so many rows."""
    one = f"({', '.join('?' * len(COLUMNS.split(',')))})"
    return f"INSERT INTO events ({COLUMNS}) VALUES {', '.join([one] * rows)}"  # noqa: S608


def stored(row: Sequence[object]) -> Stored | Damaged:
    """A row of RECORD as the reader gets it."""
    offset, text, body, crc = row
    assert isinstance(offset, int)  # noqa: S101
    position = Position(0, offset)
    if not isinstance(text, str) or not isinstance(body, bytes):
        return Damaged(position, "a column has the wrong type")
    if zlib.crc32(body, zlib.crc32(text.encode())) != crc:
        return Damaged(position, "the checksum does not fit")
    try:
        return Stored(position, Stamped(_decode(text), body))
    except msgspec.MsgspecError as error:
        _tell(str(error), offset)
        return Damaged(position, f"the stamp cannot be read: {error}")


_told: set[str] = set()


def _tell(error: str, offset: Offset) -> None:
    """Of a fault of ours, not the disk's: once for each kind, for it may be in every record."""
    if error not in _told and len(_told) < MOST_TOLD:
        _told.add(error)
        log.error("stamp_unreadable", offset=offset, error=error)


def missing(offset: Offset, reason: str) -> Damaged:
    return Damaged(Position(0, offset), reason)


def check_format(version: object, path: object) -> None:
    if version != FORMAT:
        raise UnknownFormat(
            f"{path} has format {version}; this Milonga reads format {FORMAT}. Use the version that wrote it. Nothing "
            "was changed."
        )
