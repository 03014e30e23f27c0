"""
Which event was the last to set what: an index a replay makes for itself, in a temporary file that SQLite deletes when
it is closed. Memory stays the same however many accounts there are.
"""

from collections.abc import Iterable
from hashlib import blake2b

import apsw

from milonga.delivery.rows import key_text
from milonga.destinations.contract import Key
from milonga.eventlog.api import START, Offset


class Newest:
    """Of one partition."""

    def __init__(self) -> None:
        self._db = apsw.Connection("")  # a private file: SQLite keeps in memory what fits into its cache
        self._db.execute("CREATE TABLE newest(what BLOB PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID")
        self._db.pragma("synchronous", "off")
        self._db.pragma("journal_mode", "off")

    def note(self, what: Iterable[Key], offset: Offset) -> None:
        """This event sets these. In any order of offsets."""
        rows = [(_digest(key), offset) for key in what]
        if rows:
            with self._db:
                self._db.executemany(
                    "INSERT INTO newest VALUES(?, ?) ON CONFLICT DO UPDATE SET offset = max(offset, excluded.offset)",
                    rows,
                )

    def of(self, what: Key) -> Offset:
        """The newest event that sets it; START if none does."""
        found = self._db.execute("SELECT offset FROM newest WHERE what = ?", (_digest(what),)).get
        return found if isinstance(found, int) else START

    def close(self) -> None:
        self._db.close()


def _digest(key: Key) -> bytes:
    return blake2b(key_text(key).encode(), digest_size=16).digest()
