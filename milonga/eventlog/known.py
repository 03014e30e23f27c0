"""
Which message ids the log holds. Decided by the writer alone, in the order of the log, so that copies in flight need no
thought: they are simply later. A yes is always confirmed by reading the first copy.
"""

import time
from collections import OrderedDict
from pathlib import Path

import apsw
import structlog

from milonga.eventlog.api import Offset, Stored
from milonga.eventlog.record import RECORD, stored
from milonga.eventlog.segment import open_sealed, path_of
from milonga.identity.duplicates import SurelyNew

DAY = 24 * 60 * 60 * 1000  #: milliseconds for which a message id is remembered
OPEN_FILES = 64

FIND = f"SELECT {RECORD} FROM events WHERE message_id = ? AND source = ? ORDER BY offset DESC"  # noqa: S608
CONFIRM = f"SELECT {RECORD} FROM events WHERE offset = ?"  # noqa: S608

TRIES = 5  #: further ones, where a segment cannot be read
AGAIN = 0.01  #: seconds between them

log = structlog.get_logger("milonga.eventlog")


class KnownIds:
    """
    The active segment's ids, and those of sealed ones that have no index yet, are in memory as key -> offset.
    Those of other segments are found by their index, where the filter does not say that they are surely new.
    """

    def __init__(self, folder: Path, surely_new: SurelyNew) -> None:
        self.filter = surely_new
        self._folder = folder
        self._memory: dict[Offset, dict[int, Offset]] = {}
        self._newest_first: list[tuple[Offset, dict[int, Offset]]] = []
        self._files: OrderedDict[Offset, apsw.Connection] = OrderedDict()

    def hold(self, segment: Offset, ids: dict[int, Offset]) -> None:
        """Keep this segment's ids in memory."""
        self._memory[segment] = ids
        self._newest_first = sorted(self._memory.items(), reverse=True)

    def held(self, segment: Offset) -> dict[int, Offset] | None:
        return self._memory.get(segment)

    def release(self, segment: Offset) -> None:
        """Its index and filter take over, or it is gone."""
        self._memory.pop(segment, None)
        self._newest_first = sorted(self._memory.items(), reverse=True)

    def forget(self, segment: Offset) -> None:
        """The segment is gone, or all of it is over a day old."""
        self.release(segment)
        self.filter.forget(segment)
        if (connection := self._files.pop(segment, None)) is not None:
            connection.close()

    def find(self, key: int, in_filter: int, source: int, message_id: str, at: int) -> Offset | None:
        """
        Offset of the event with this source and id that is less than a day older than `at`, if there is one.

        key        milonga.identity.duplicates.key_of(source, message_id)
        in_filter  milonga.identity.duplicates.filter_key(message_id)
        at         unix milliseconds: when the event in question arrived
        """
        for segment, ids in self._newest_first:
            offset = ids.get(key)
            if offset is not None and self._is_at(segment, CONFIRM, (offset,), source, message_id, at) is not None:
                return offset
        for segment in self.filter.where(in_filter):
            found = self._is_at(segment, FIND, (message_id, source), source, message_id, at)
            if found is not None:
                return found
        return None

    def _is_at(
        self, segment: Offset, sql: str, bindings: tuple[object, ...], source: int, message_id: str, at: int
    ) -> Offset | None:
        """A copy that is damaged is none: nobody could deliver it."""
        path = path_of(self._folder, segment)
        for last in (*[False] * TRIES, True):
            try:
                rows = self._file(segment).execute(sql, bindings).fetchall()
                break
            except apsw.Error as error:
                # Another connection's coming or going may be in the way for a moment (of its write-ahead log, say).
                # To take that for "not there" would keep a copy that should be named a duplicate.
                self.settle(segment)
                if not path.exists():
                    return None  # dropped this moment
                if last or isinstance(error, apsw.CorruptError | apsw.NotADBError):
                    log.warning("segment_unreadable", segment=str(path), error=str(error))
                    return None
                time.sleep(AGAIN)
        for row in rows:
            first = stored(row)
            if not isinstance(first, Stored):
                continue
            stamp = first.event.stamp
            same = stamp.own_message_id and stamp.message_id == message_id and stamp.source == source
            if same and at - stamp.received_at < DAY:
                return first.position.offset
        return None

    def _file(self, segment: Offset) -> apsw.Connection:
        connection = self._files.get(segment)
        if connection is None:
            connection = self._files[segment] = open_sealed(path_of(self._folder, segment))
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(segment)
        return connection

    def settle(self, segment: Offset) -> None:
        """The segment has changed for the last time: open it anew, without locks."""
        if (connection := self._files.pop(segment, None)) is not None:
            connection.close()

    def close(self) -> None:
        for connection in self._files.values():
            connection.close()
        self._files.clear()
