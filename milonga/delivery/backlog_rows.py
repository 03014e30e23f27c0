"""
How much waited for each destination, in a table of its own of `<data>/delivery.db`: by minutes for a day, by quarters
of an hour for two weeks. Written in the transactions of milonga.delivery.store.
"""

from collections.abc import Sequence
from typing import Any, Final

import apsw

from milonga.delivery.backlog import Waited

QUARTER: Final = 15  #: minutes
KEPT: Final = {1: 25 * 60, QUARTER: 15 * 24 * 60}  #: length of a period -> how long it is kept, both in minutes

TABLE: Final = """
CREATE TABLE IF NOT EXISTS backlog(
  length INTEGER, destination INTEGER, period INTEGER, waiting INTEGER NOT NULL, age INTEGER NOT NULL,
  PRIMARY KEY(length, destination, period)) WITHOUT ROWID;
"""
_ADD: Final = (
    "INSERT INTO backlog VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE"
    " SET waiting = max(waiting, excluded.waiting), age = max(age, excluded.age)"
)


class BacklogTable:
    """The writing half: within a transaction of the store."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def put(self, destination: int, rows: Sequence[Waited]) -> None:
        """The highest of each period stays; what is older than it is kept goes."""
        for row in rows:
            for length, kept in KEPT.items():
                self._db.execute(_ADD, (length, destination, row.minute // length, row.waiting, row.age))
                self._db.execute(
                    "DELETE FROM backlog WHERE length = ? AND destination = ? AND period < ?",
                    (length, destination, (row.minute - kept) // length),
                )


class BacklogReader:
    """The reading half, from any process. Of a file that no delivery of this version has opened yet: nothing."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def periods(self, since: int, length: int) -> dict[int, dict[int, tuple[int, int]]]:
        """
        Destination -> period -> (the most events that waited in it, the highest age of the oldest in milliseconds). A
        period that is missing is one in which nobody looked: no delivery ran.

        since   unix minutes
        length  of a period, minutes: 1, or a multiple of QUARTER; its number is unix minutes / length
        """
        if not self._db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'backlog'").get:
            return {}
        kept = QUARTER if length % QUARTER == 0 else 1
        query = (
            "SELECT destination, period * ?1 / ?2, max(waiting), max(age) FROM backlog"
            " WHERE length = ?1 AND period >= ?3 GROUP BY 1, 2"
        )
        found: dict[int, dict[int, tuple[int, int]]] = {}
        for destination, period, waiting, age in list[Any](self._db.execute(query, (kept, length, since // kept))):
            found.setdefault(destination, {})[period] = (waiting, age)
        return found
