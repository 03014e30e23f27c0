"""What is remembered of whole files of outcomes: it saves opening them, and is never out of date."""

from pathlib import Path

import apsw
import pytest

from milonga.eventlog.api import Position
from milonga.outcomes import kept, reader
from milonga.outcomes.files import open_to_read, path_of, segments
from milonga.outcomes.model import State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from tests.clocks import Still
from tests.outcomes.test_outcome_files import AT, attempt, outcome

MINUTE = AT // 60_000
HOUR = 3_600_000  #: milliseconds


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of files, as they are opened."""
    found: list[str] = []

    def noted(path: Path) -> apsw.Connection:
        found.append(path.name)
        return open_to_read(path)

    monkeypatch.setattr(reader, "open_to_read", noted)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A delivery an hour, each in a file of its own; the third failed once before."""
    clock = Still(AT / 1000)
    writer = OutcomeWriter(tmp_path, clock, segment_rows=1)
    for n in range(4):
        writer.write([outcome(n, at=AT + n * HOUR)], [attempt(n)] if n == 2 else [])
        clock.at += HOUR / 1000
    writer.close()
    assert len(segments(tmp_path)) == 4
    return tmp_path


def delivered(folder: Path, since: int = MINUTE) -> int:
    found = OutcomeReader(folder).periods(since, 60, [State.delivered])
    return found[1, State.delivered, ""].total() if found else 0


def test_what_a_whole_file_adds_up_to_is_asked_of_it_once(folder: Path, opened: list[str]) -> None:
    assert delivered(folder) == 4
    assert set(opened) == {path_of(folder, number).name for number in segments(folder)}
    opened.clear()
    assert delivered(folder) == 4
    assert sum(took.total() for took in OutcomeReader(folder).latency_periods(MINUTE, 60).values()) == 4
    opened.clear()
    assert sum(took.total() for took in OutcomeReader(folder).latency_periods(MINUTE, 60).values()) == 4
    assert delivered(folder, MINUTE + 2 * 60) == 2
    assert set(opened) == {"00000004.db"}, "only the one that is written to"


def test_a_file_that_is_written_to_is_asked_again(folder: Path) -> None:
    assert delivered(folder) == 4
    db = apsw.Connection(str(path_of(folder, 2)))
    db.execute("UPDATE counters SET n = 10")
    assert delivered(folder) == 13, "while it is in the write-ahead log"
    db.close()
    assert delivered(folder) == 13
    db = apsw.Connection(str(path_of(folder, 2)))
    db.execute("UPDATE counters SET n = 20")
    db.close()
    assert delivered(folder) == 23


def test_what_was_dropped_is_not_counted_twice(folder: Path) -> None:
    assert delivered(folder) == 4
    clock = Still(AT / 1000)
    clock.at += 5 * HOUR / 1000
    writer = OutcomeWriter(folder, clock)
    assert writer.drop_old(keep=HOUR / 1000) == 3
    assert delivered(folder) == 4
    writer.close()


def test_events_are_looked_for_in_files_that_reach_them(folder: Path, opened: list[str]) -> None:
    positions = [Position(0, n) for n in range(5)]
    found = OutcomeReader(folder).of_many(positions)
    assert sorted(found) == positions[:4]
    opened.clear()
    assert OutcomeReader(folder).of(positions[1])[0].position == positions[1]
    assert opened == ["00000004.db", "00000002.db"]
    assert [one.at for one in OutcomeReader(folder).attempts(positions[2], 1)] == [AT]
    assert OutcomeReader(folder).attempts(positions[1], 1) == []
    opened.clear()
    assert [one.at for one in OutcomeReader(folder).attempts(positions[2], 1)] == [AT]
    assert opened == ["00000004.db", "00000003.db"]


def test_a_damaged_file_is_told_of_each_time(folder: Path) -> None:
    path_of(folder, 2).write_bytes(b"damaged" * 1_000)
    for _ in range(2):
        one = OutcomeReader(folder)
        assert one.periods(MINUTE, 60, [State.delivered])[1, State.delivered, ""].total() == 3
        assert list(one.unreadable) == ["00000002.db"]


def test_it_does_not_grow_without_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_kept", {})
    monkeypatch.setattr(kept, "MOST", 5)
    for length in range(1, 20):
        OutcomeReader(folder).periods(MINUTE, length, [State.delivered])
        assert sum(map(len, kept._kept.values())) <= 5
    monkeypatch.setattr(kept, "_kept", {})
    monkeypatch.setattr(kept, "OF_ONE", 0)
    assert delivered(folder) == 4
    assert kept._kept == {}
