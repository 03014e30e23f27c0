"""
What delivery remembers of the machine's clock, in tables of its own of `<data>/delivery.db`, and how all waits in there
move when it was set. Written in the transactions of milonga.delivery.store.
"""

from typing import Final

import apsw

from milonga.delivery.clock import Skips
from milonga.delivery.rows import ASIDE

TABLES: Final = """
CREATE TABLE IF NOT EXISTS clock(boot TEXT NOT NULL, clock_offset REAL NOT NULL);
CREATE TABLE IF NOT EXISTS clock_skips(began INTEGER PRIMARY KEY, ended INTEGER NOT NULL);
"""


class ClockTables:
    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def known(self) -> tuple[str, float] | None:
        """The machine's start, and the wall clock's lead over it, as they were last (milonga.delivery.clock)."""
        found: tuple[str, float] | None = self._db.execute("SELECT boot, clock_offset FROM clock").get
        return found

    def know(self, boot: str, offset: float) -> None:
        self._db.execute("DELETE FROM clock")
        self._db.execute("INSERT INTO clock VALUES(?,?)", (boot, offset))

    def skips(self) -> list[tuple[int, int]]:
        return list(self._db.execute("SELECT began, ended FROM clock_skips ORDER BY began"))

    def set_by(self, milliseconds: int, skips: Skips) -> None:
        """The clock was set by so many: all waits move with it. What never was is `skips` from now on."""
        self._db.execute("UPDATE progress SET next_at = next_at + ?", (milliseconds,))
        self._db.execute("UPDATE progress SET not_before = not_before + ? WHERE not_before > 0", (milliseconds,))
        self._db.execute("UPDATE failing SET since = since + ?", (milliseconds,))
        self._db.execute("DELETE FROM clock_skips")
        self._db.executemany("INSERT INTO clock_skips VALUES(?,?)", skips)

    def look_at_waiting(self, now: int) -> None:
        """Every line that waits for a time, of every destination, is looked at again."""
        self._db.execute("UPDATE parked_due SET due_at = ? WHERE due_at < ?", (now, ASIDE))

    def bound_waits(self, next_at: int, not_before: int) -> None:
        """No wait goes beyond these: one that does was begun under another clock."""
        self._db.execute(
            "UPDATE progress SET next_at = min(next_at, ?1), not_before = min(not_before, ?2)"
            " WHERE next_at > ?1 OR not_before > ?2",
            (next_at, not_before),
        )
