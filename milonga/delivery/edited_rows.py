"""
What was sent instead of dead letters that somebody edited, in a table of its own of `<data>/delivery.db`: the log keeps
what arrived, and the story of an event tells both. Written in the transactions of milonga.delivery.store.
"""

from typing import Any, Final

import apsw

from milonga.delivery.editing import Edited
from milonga.delivery.rows import event_of, stamp_bytes
from milonga.eventlog.api import Position
from milonga.spec.text import well_formed

TABLE: Final = """
CREATE TABLE IF NOT EXISTS edited(
  destination INTEGER, partition INTEGER, offset INTEGER,
  at INTEGER NOT NULL, by TEXT NOT NULL, stamp BLOB NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY(destination, partition, offset)) WITHOUT ROWID;
"""
_AT: Final = "destination = ? AND partition = ? AND offset = ?"


class EditedTable:
    """The writing half: within a transaction of the store."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def put(self, destination: int, position: Position, edited: Edited) -> None:
        """Instead of what was there before."""
        row = (edited.at, well_formed(edited.by), stamp_bytes(edited.event), edited.event.body)
        self._db.execute("INSERT OR REPLACE INTO edited VALUES(?,?,?,?,?,?,?)", (destination, *position, *row))

    def drop(self, destination: int, position: Position) -> None:
        """And a dead letter that it has become: somebody in the original is erased."""
        row = (destination, *position)
        mine = f"DELETE FROM dead WHERE {_AT} AND EXISTS (SELECT 1 FROM edited WHERE {_AT})"  # noqa: S608
        self._db.execute(mine, (*row, *row))
        self._db.execute(f"DELETE FROM edited WHERE {_AT}", row)  # noqa: S608

    def drop_old(self, before: int) -> None:
        """Those sent before then (unix milliseconds): nothing tells of their events any more."""
        self._db.execute("DELETE FROM edited WHERE at < ?", (before,))


class EditedReader:
    """The reading half, from any process. Of a file that no delivery of this version has opened yet: nothing."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def of(self, destination: int, position: Position) -> Edited | None:
        if not self._db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'edited'").get:
            return None
        query = f"SELECT at, by, stamp, body FROM edited WHERE {_AT}"  # noqa: S608
        rows = list[Any](self._db.execute(query, (destination, *position)))
        return Edited(at=rows[0][0], by=rows[0][1], event=event_of(*rows[0][2:])) if rows else None
