"""
Which account each user belongs to, by the events that the log keeps of a source: an index that a replay makes for
itself, in a temporary file that SQLite deletes when it is closed, as milonga.delivery.newest. Memory stays the same
however many users there are.
"""

from collections.abc import Iterable
from enum import Enum
from hashlib import blake2b
from typing import Any

import apsw

from milonga.eventlog.api import Offset
from milonga.spec.stored import Stamp


class NoAccount(Enum):
    """Why there is none that an event can be filed under."""

    unknown = "unknown"  #: no earlier group call names one for this user
    several = "several"  #: the user's events name more than one, earlier or later


class Named:
    """Of one partition and source."""

    def __init__(self) -> None:
        self._db = apsw.Connection("")  # a private file: SQLite keeps in memory what fits into its cache
        self._db.execute(
            "CREATE TABLE named(user BLOB PRIMARY KEY, account BLOB, grouped INTEGER, several INTEGER) WITHOUT ROWID"
        )
        self._db.pragma("synchronous", "off")
        self._db.pragma("journal_mode", "off")

    def note(self, stamps: Iterable[tuple[Offset, Stamp]]) -> None:
        """
        Any that name user and account, of whatever type; in any order of offsets. Only a group call is a reason to file
        others under its account; all others can only be a reason not to.
        """
        rows = [
            (_digest(stamp.user_id), _bytes(stamp.account), offset if stamp.type == "group" else None)
            for offset, stamp in stamps
            if stamp.user_id is not None and stamp.account is not None
        ]
        if rows:
            with self._db:
                self._db.executemany(
                    "INSERT INTO named VALUES(?, ?, ?, 0) ON CONFLICT DO UPDATE SET"
                    " several = several OR account <> excluded.account,"
                    " grouped = min(ifnull(grouped, excluded.grouped), ifnull(excluded.grouped, grouped))",
                    rows,
                )

    def of(self, user: str, before: Offset) -> str | NoAccount:
        """The only account that the user's events name, if a group call before this offset does."""
        query = "SELECT account, grouped, several FROM named WHERE user = ?"
        rows = list[Any](self._db.execute(query, (_digest(user),)))
        if not rows:
            return NoAccount.unknown
        ((account, grouped, several),) = rows
        if several:
            return NoAccount.several
        if grouped is None or grouped >= before:
            return NoAccount.unknown
        return str(account, "utf-8", "surrogatepass")

    def close(self) -> None:
        self._db.close()


def _digest(user: str) -> bytes:
    return blake2b(_bytes(user), digest_size=16).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
