"""
Finding events again, for `milonga explain`, `milonga events` and the console. From any process. These calls open the
files they need and may take a while (the active segment has no index and is searched row by row): use a thread.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import apsw

from milonga.eventlog.api import START, Damaged, Discard, Offset, Position, Stored
from milonga.eventlog.aside import UNREADABLE
from milonga.eventlog.counters import Count, counts_of, open_totals_to_read
from milonga.eventlog.record import RECORD, missing, stored
from milonga.eventlog.segment import list_segments, open_sealed, open_to_read, path_of

FOUND = f"SELECT {RECORD} FROM events WHERE %s = ? AND offset > ? AND offset < ? ORDER BY offset DESC LIMIT ?"  # noqa: S608
BY_MESSAGE_ID, BY_USER, BY_ACCOUNT = FOUND % "message_id", FOUND % "user_id", FOUND % "account"
AT = f"SELECT {RECORD} FROM events WHERE offset = ?"  # noqa: S608
AT_EACH = f"SELECT {RECORD} FROM events WHERE offset IN (SELECT value FROM json_each(?)) ORDER BY offset DESC"  # noqa: S608

DISCARDS = """
SELECT source, at, code, reason, excerpt FROM discarded
WHERE (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR code = ?2) AND at < ?3 ORDER BY at DESC LIMIT ?4
"""

AFTER_ALL = 2**62  #: an offset beyond every other


class EventLookup:
    """What cannot be read is passed by, `at` aside. Nothing is kept open between calls."""

    def __init__(self, folder: Path) -> None:
        """folder  the log's, such as `<data>/log`; need not exist yet"""
        self._folder = folder

    def by_message_id(self, message_id: str, limit: int = 100) -> list[Stored]:
        """Of all sources, newest first."""
        return self._find(BY_MESSAGE_ID, message_id, limit, START, AFTER_ALL)

    def by_user(self, user_id: str, limit: int, before: Offset = AFTER_ALL, after: Offset = START) -> list[Stored]:
        """Newest first, of those between the two. `before` continues a former list."""
        return self._find(BY_USER, user_id, limit, after, before)

    def by_account(self, account: str, limit: int, before: Offset = AFTER_ALL, after: Offset = START) -> list[Stored]:
        """Newest first, of those between the two. `before` continues a former list."""
        return self._find(BY_ACCOUNT, account, limit, after, before)

    def newest(self, limit: int, before: Offset = AFTER_ALL, after: Offset = START) -> list[Stored]:
        """Newest first, of those between the two. `before` continues a former list."""
        return self._find(FOUND % "1", 1, limit, after, before)

    def at(self, position: Position) -> Stored | Damaged | None:
        """None if there is no such event, or not any more."""
        for first, connection in self._segments(position.offset + 1):
            try:
                row = connection.execute(AT, (position.offset,)).fetchone()
            except UNREADABLE as error:
                return missing(position.offset, f"segment {first}: {error}")
            return None if row is None else stored(row)
        return None

    def at_each(self, offsets: Sequence[Offset]) -> list[Stored]:
        """Of partition 0, newest first; what is gone or cannot be read is left out."""
        left, found, firsts = sorted(set(offsets), reverse=True), list[Stored](), list_segments(self._folder)
        while left:
            for first, connection in self._segments(left[0] + 1, firsts):
                here = [offset for offset in left if offset >= first]
                left = left[len(here) :]
                try:
                    rows = connection.execute(AT_EACH, (json.dumps(here),)).fetchall()
                except UNREADABLE:
                    rows = []
                found += [event for event in map(stored, rows) if isinstance(event, Stored)]
                break
            else:
                break
        return found

    def first(self) -> Offset:
        """Of the oldest segment that is still kept; 0 while there is none."""
        return next(iter(list_segments(self._folder)), START)

    def end(self) -> Offset:
        """Of the newest event; 0 while there is none."""
        return next((one.position.offset for one in self.newest(1)), START)

    def since(self) -> int | None:
        """When the oldest event still kept arrived, unix milliseconds; None if there is none."""
        for first in list_segments(self._folder):
            try:
                with closing(open_sealed(path_of(self._folder, first))) as connection:
                    found = connection.execute("SELECT received_at FROM events ORDER BY offset LIMIT 1").get
                    return found if isinstance(found, int) else None
            except (*UNREADABLE, apsw.CantOpenError):
                continue
        return None

    def counts(self, since: int, until: int) -> list[Count]:
        """
        What was accepted, dropped, discarded or refused from minute `since` up to but not including `until`, both unix
        milliseconds / 60,000. Accepted and duplicates appear here within about a second, refused requests
        within some three, discards at once.
        """
        return self._counts(since, until, 1)

    def _counts(self, since: int, until: int, length: int) -> list[Count]:
        """In periods of so many minutes; Count.minute is the period's number."""
        total: dict[tuple[int, int, str], int] = {}
        for _ in range(10):
            total.clear()
            rolled, counts = self._totals(since, until, length)
            open_ones = [first for first in list_segments(self._folder) if first not in rolled]
            try:
                for first in open_ones:
                    with closing(open_to_read(path_of(self._folder, first))) as connection:
                        counts += counts_of(connection, since, until, length)
            except apsw.CantOpenError:
                continue  # rolled up and dropped since we looked
            for minute, source, name, n in counts:
                total[minute, source, name] = total.get((minute, source, name), 0) + n
            break
        return [Count(*key, n) for key, n in sorted(total.items())]

    def periods(self, since: int, length: int, until: int = AFTER_ALL) -> dict[tuple[int, str], dict[int, int]]:
        """
        (source, name) -> period -> how many, of whole counts from minute `since` on: what charts are drawn from.

        since, until  unix milliseconds / 60,000, until not included
        length        of a period, minutes; its number is unix minutes / length
        """
        found: dict[tuple[int, str], dict[int, int]] = {}
        for one in self._counts(since, until, length):
            periods = found.setdefault((one.source, one.name), {})
            periods[one.minute] = periods.get(one.minute, 0) + one.n
        return found

    def _totals(self, since: int, until: int, length: int) -> tuple[set[Offset], list[Count]]:
        """Which segments are in the totals, and the totals, as of one moment."""
        totals = open_totals_to_read(self._folder)
        if totals is None:
            return set(), []
        with closing(totals):
            totals.execute("BEGIN")
            rolled = {int(row[0]) for row in totals.execute("SELECT segment FROM rolled")}
            return rolled, counts_of(totals, since, until, length)

    def discards(
        self,
        limit: int,
        *,
        source: int | None = None,
        code: str | None = None,
        before: int = AFTER_ALL,
        segments: int | None = None,
    ) -> list[Discard]:
        """
        Samples of what was not accepted, newest first; they go with their segment.

        source, code  only of these
        before        unix milliseconds: only older ones
        segments      look only into the newest so many
        """
        found: list[Discard] = []
        for _first, connection in islice(self._segments(AFTER_ALL), segments):
            rows = connection.execute(DISCARDS, (source, code, before, limit - len(found)))
            found += [
                Discard(source=source, at=at, code=code, reason=reason, excerpt=excerpt)
                for source, at, code, reason, excerpt in rows
            ]
            if len(found) >= limit:
                break
        return found

    def _find(self, sql: str, value: str | int, limit: int, after: Offset, before: Offset) -> list[Stored]:
        found: list[Stored] = []
        for first, connection in self._segments(before):
            try:
                rows = connection.execute(sql, (value, after, before, limit - len(found))).fetchall()
            except UNREADABLE:
                rows = []
            found += [event for event in map(stored, rows) if isinstance(event, Stored)]
            if len(found) >= limit or first <= after + 1:
                break
        return found

    def _segments(
        self, before: Offset, firsts: Sequence[Offset] | None = None
    ) -> Iterator[tuple[Offset, apsw.Connection]]:
        """
        Newest first, those with an offset under `before`; what cannot be opened is left out.

        firsts  of all there are, as list_segments has them; None: it looks
        """
        firsts = list_segments(self._folder) if firsts is None else firsts
        for first in reversed(firsts):
            if first >= before:
                continue
            path = path_of(self._folder, first)
            try:
                connection = open_to_read(path) if first == firsts[-1] else open_sealed(path)
            except (apsw.CantOpenError, *UNREADABLE):
                continue
            with closing(connection):
                yield first, connection
