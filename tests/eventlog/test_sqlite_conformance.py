"""The SQLite log passes the suite, with small segments so that every test meets several."""

from pathlib import Path

import apsw
import pytest

from milonga.eventlog.api import EventLog, Offset
from milonga.eventlog.segment import list_segments, path_of
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt

from .conformance import Conformance
from .parts import Clock, Engine


class SmallSegments:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.segment = 10

    async def open(self) -> EventLog:
        return await SqliteLog.open(self.folder, clock=self.clock, seal_at=SealAt(events=self.segment))

    def damage(self, offset: Offset) -> None:
        first = max(first for first in list_segments(self.folder) if first <= offset)
        connection = apsw.Connection(str(path_of(self.folder, first)))
        connection.execute("UPDATE events SET body = CAST(replace(body, 'E', 'e') AS BLOB) WHERE offset = ?", (offset,))
        assert connection.changes() == 1
        connection.close()


class TestSqlite(Conformance):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        return SmallSegments(tmp_path / "log")
