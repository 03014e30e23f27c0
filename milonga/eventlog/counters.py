"""
What was accepted, dropped as a duplicate, discarded or refused, per minute and source: first in the active segment, so
that it is durable with the events; then, when the segment is sealed, added to `counters.db`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import apsw

from milonga.eventlog.api import Discard, Offset
from milonga.eventlog.aside import DAMAGED
from milonga.eventlog.wal import tell_lost

ACCEPTED = "accepted"
DUPLICATE = "duplicate"
DISCARDED = "discarded:"  #: followed by the code
REFUSED = "refused:"  #: followed by the code; counts requests, all others count events
MINUTE = 60_000  #: milliseconds
SAMPLES = 100  #: discarded events kept to look at, of each code and source, in each segment
CODES = 20  #: codes with samples in each segment
RINGS = 200  #: codes of sources with samples in each segment
EXCERPT = 2_000  #: bytes

TABLES = """
CREATE TABLE counters (minute INTEGER, source INTEGER, name TEXT, n INTEGER NOT NULL,
  PRIMARY KEY (minute, source, name)) WITHOUT ROWID;
CREATE TABLE discarded (code TEXT, slot INTEGER, at INTEGER NOT NULL, source INTEGER NOT NULL, reason TEXT NOT NULL,
  excerpt BLOB NOT NULL, PRIMARY KEY (code, slot)) WITHOUT ROWID;
"""

TOTALS = """
CREATE TABLE IF NOT EXISTS counters (minute INTEGER, source INTEGER, name TEXT, n INTEGER NOT NULL,
  PRIMARY KEY (minute, source, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rolled (segment INTEGER PRIMARY KEY);
"""

ADD = "INSERT INTO counters VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n"


class Count(NamedTuple):
    """
    minute  unix milliseconds / 60,000
    source  id; 0 where no source is known, as with an unknown write key
    name    ACCEPTED, DUPLICATE, or DISCARDED or REFUSED and the code
    """

    minute: int
    source: int
    name: str
    n: int


Tally: TypeAlias = dict[tuple[int, int, str], int]
"""(minute, source, name) -> n"""


def add(connection: apsw.Connection, tally: Mapping[tuple[int, int, str], int]) -> None:
    """Within the caller's transaction."""
    if tally:
        connection.executemany(ADD, [(*key, n) for key, n in tally.items()])


def tally_discards(discards: Iterable[Discard]) -> Tally:
    tally: Tally = {}
    for discard in discards:
        key = (discard.at // MINUTE, discard.source, DISCARDED + discard.code)
        tally[key] = tally.get(key, 0) + discard.count
    return tally


class Samples:
    """
    The newest discarded events of each code and source in one segment, each in a ring of its own: neither good events
    nor another sender's bad ones push them out.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        #: how many were kept, the overwritten ones too (after a restart: as many as are there)
        self._kept: dict[tuple[str, int], int] = {
            (code, source): n
            for code, source, n in connection.execute("SELECT code, source, count(*) FROM discarded GROUP BY 1, 2")
        }
        self._codes = {code for code, _ in self._kept}

    def keep(self, discards: Sequence[Discard]) -> None:
        """Within the caller's transaction."""
        rows = []
        for discard in discards:
            ring = (discard.code, discard.source)
            if ring not in self._kept and not self._has_room(discard.code):
                continue
            self._codes.add(discard.code)
            kept = self._kept.get(ring, 0)
            self._kept[ring] = kept + 1
            slot = discard.source * SAMPLES + kept % SAMPLES
            excerpt = discard.excerpt[:EXCERPT]
            rows.append((discard.code, slot, discard.at, discard.source, discard.reason, excerpt))
        if rows:
            self._connection.executemany("INSERT OR REPLACE INTO discarded VALUES (?, ?, ?, ?, ?, ?)", rows)

    def _has_room(self, code: str) -> bool:
        return len(self._kept) < RINGS and (code in self._codes or len(self._codes) < CODES)


def totals_path(folder: Path) -> Path:
    return folder / "counters.db"


def open_totals(folder: Path) -> apsw.Connection:
    path = totals_path(folder)
    path.touch(mode=0o600)
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(5_000)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("user_version")  # a first look
        tell_lost(path, connection, "the newest counts of segments that are gone")
        connection.execute(TOTALS)
    except BaseException:
        connection.close()
        raise
    return connection


def open_totals_to_read(folder: Path) -> apsw.Connection | None:
    """None before there are any."""
    try:
        connection = apsw.Connection(str(totals_path(folder)), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.CantOpenError:
        return None
    connection.set_busy_timeout(5_000)
    try:
        begun = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rolled'").get is not None
    except (*DAMAGED, apsw.ReadOnlyError):
        begun = (
            False  # it is set aside, or what a crash left of its making undone, when the log is next opened to write
        )
    if not begun:
        connection.close()
        return None
    return connection


def is_rolled(totals: apsw.Connection, segment: Offset) -> bool:
    return totals.execute("SELECT 1 FROM rolled WHERE segment = ?", (segment,)).get is not None


def forget(totals: apsw.Connection, before: int) -> None:
    """Give up the counts of minutes before this one."""
    totals.execute("DELETE FROM counters WHERE minute < ?", (before,))


def roll(totals: apsw.Connection, segment: Offset, counts: Sequence[Count]) -> None:
    """Add a sealed segment's counts, once, however often it is asked."""
    with totals:
        if is_rolled(totals, segment):
            return
        totals.execute("INSERT INTO rolled VALUES (?)", (segment,))
        totals.executemany(ADD, counts)


def counts_of(connection: apsw.Connection, since: int = 0, until: int = 2**62, length: int = 1) -> list[Count]:
    """
    Of one file. since, until: minutes, until not included.

    length  of the periods that are counted together, minutes: then Count.minute is a period's number
    """
    if length == 1:
        query = "SELECT minute, source, name, n FROM counters WHERE minute >= ? AND minute < ?"
        return [Count(*row) for row in connection.execute(query, (since, until))]
    query = "SELECT minute / ?3, source, name, sum(n) FROM counters WHERE minute >= ?1 AND minute < ?2 GROUP BY 1, 2, 3"
    return [Count(*row) for row in connection.execute(query, (since, until, length))]
