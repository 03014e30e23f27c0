"""What became of events, in real files."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from milonga.eventlog.api import Position
from milonga.outcomes.files import segments
from milonga.outcomes.model import Attempt, Outcome, State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import NewerOutcomes, OutcomeWriter
from tests.clocks import Still

AT = 1_750_000_000_000  #: unix milliseconds


@pytest.fixture
def clock() -> Still[float]:
    return Still(AT / 1000)


def outcome(offset: int, state: State = State.delivered, *, destination: int = 1, at: int = AT, **more: Any) -> Outcome:
    values: dict[str, Any] = {"attempts": 1, "received_at": AT - 40, "settings_version": 3} | more
    return Outcome(destination=destination, position=Position(0, offset), state=state, ended_at=at, **values)


def attempt(offset: int, at: int = AT, **more: Any) -> Attempt:
    values: dict[str, Any] = {
        "part": "activity",
        "code": "http_503",
        "reason": "Totango answered 503.",
        "status": 503,
        "ms": 12,
        "perhaps": False,
        "answer": b"busy",
    }
    return Attempt(destination=1, position=Position(0, offset), at=at, **(values | more))


def test_what_was_written_is_read_back_from_another_connection(tmp_path: Path, clock: Still[float]) -> None:
    writer, reader = OutcomeWriter(tmp_path, clock), OutcomeReader(tmp_path)
    dead = outcome(5, State.dead, code="http_400", attempts=2, perhaps=1)
    tries = [attempt(5, AT + 1), attempt(5, AT, status=None, code="timeout", perhaps=True, answer=b"\xff\x00")]
    writer.write([outcome(4), dead], tries)
    assert reader.of(Position(0, 5)) == [dead]
    assert reader.attempts(Position(0, 5), 1) == [tries[1], tries[0]], "oldest first"
    assert reader.attempts(Position(0, 4), 1) == []
    assert reader.of(Position(1, 5)) == [], "another partition"
    writer.close()


def test_after_a_resend_the_newest_row_holds_and_the_older_one_stays(tmp_path: Path, clock: Still[float]) -> None:
    writer, reader = OutcomeWriter(tmp_path, clock, segment_rows=1), OutcomeReader(tmp_path)
    first, second = outcome(5, State.dead, code="http_400"), outcome(5, at=AT + 1)
    writer.write([first])
    writer.write([second])
    assert len(segments(tmp_path)) == 2
    assert reader.of(Position(0, 5)) == [second, first]
    assert reader.last_ended(1, [Position(0, 5), Position(0, 6)]) == {Position(0, 5): AT + 1}
    assert reader.last_ended(2, [Position(0, 5)]) == {}


def test_a_full_segment_is_followed_by_another_also_after_reopening(tmp_path: Path, clock: Still[float]) -> None:
    writer = OutcomeWriter(tmp_path, clock, segment_rows=10)
    for n in range(4):
        writer.write([outcome(n * 4 + i) for i in range(4)])
    writer.close()
    assert segments(tmp_path) == [1, 2]
    writer = OutcomeWriter(tmp_path, clock, segment_rows=10)
    writer.write([outcome(100 + i) for i in range(6)])
    writer.write([outcome(200)])
    writer.close()
    assert segments(tmp_path) == [1, 2, 3]
    assert OutcomeReader(tmp_path).finished_after(1, 0, 0) == {*range(16), *range(100, 106), 200} - {0}


def test_a_segment_ends_with_its_day(tmp_path: Path, clock: Still[float]) -> None:
    writer = OutcomeWriter(tmp_path, clock)
    writer.write([outcome(1)])
    clock.at += 86_401
    writer.write([outcome(2)])
    assert segments(tmp_path) == [1, 2]
    writer.close()


def test_files_whose_newest_row_is_old_are_dropped_whole_but_never_the_one_in_use(
    tmp_path: Path, clock: Still[float]
) -> None:
    writer, reader = OutcomeWriter(tmp_path, clock, segment_rows=1), OutcomeReader(tmp_path)
    for offset in (1, 2, 3):
        writer.write([outcome(offset)])
        clock.at += 100
    assert writer.drop_old(keep=250) == 1
    assert reader.finished_after(1, 0, 0) == {2, 3}
    assert reader.of(Position(0, 1)) == []
    clock.at += 10**9
    assert writer.drop_old(keep=150) == 1
    assert segments(tmp_path) == [3]
    left = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert left == {"00000003", "counters"}, "nothing is left of the others but their counts"
    writer.close()


def test_counts_outlive_the_files_they_were_counted_in_for_a_time_of_their_own(
    tmp_path: Path, clock: Still[float]
) -> None:
    writer, reader = OutcomeWriter(tmp_path, clock, segment_rows=1), OutcomeReader(tmp_path)
    for offset in (1, 2, 3):
        writer.write([outcome(offset)])
    clock.at += 1000
    assert writer.drop_old(keep=500) == 2
    assert reader.totals() == {(1, State.delivered, ""): 3}
    assert writer.drop_old(keep=500) == 0
    assert reader.totals() == {(1, State.delivered, ""): 3}, "added once"
    writer.write([outcome(4)])
    clock.at += 10**6
    writer.write([outcome(5, at=AT + 10**9)])
    assert writer.drop_old(keep=500, keep_counts=900) == 2
    assert reader.totals() == {(1, State.delivered, ""): 1}, "older minutes are forgotten"
    writer.close()


def test_totals_count_by_destination_state_and_code_from_a_minute_on(tmp_path: Path, clock: Still[float]) -> None:
    writer, reader = OutcomeWriter(tmp_path, clock, segment_rows=2), OutcomeReader(tmp_path)
    writer.write([outcome(1), outcome(2), outcome(3, State.skipped, code="missing_user_id")])
    writer.write([outcome(4, at=AT + 60_000), outcome(5, at=AT + 60_000, destination=2)])
    assert reader.totals() == {
        (1, State.delivered, ""): 3,
        (1, State.skipped, "missing_user_id"): 1,
        (2, State.delivered, ""): 1,
    }
    assert reader.totals(AT + 60_000) == {(1, State.delivered, ""): 1, (2, State.delivered, ""): 1}
    assert reader.oldest() == AT // 1000
    writer.close()


def test_a_row_takes_at_most_eighty_bytes(tmp_path: Path, clock: Still[float]) -> None:
    writer = OutcomeWriter(tmp_path, clock)
    states = [(State.delivered, ""), (State.delivered, ""), (State.delivered, ""), (State.skipped, "missing_group_id")]
    count = 50_000
    for start in range(10**9, 10**9 + count, 100):  # long offsets, as after years
        writer.write(
            [outcome(n, states[n % 4][0], code=states[n % 4][1], at=AT + n % 10_000) for n in range(start, start + 100)]
        )
    writer.close()
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size / count <= 80, f"{size / count:.1f} bytes"


def test_a_full_disk_leaves_everything_as_it_was_and_it_goes_on_afterwards(tmp_path: Path, clock: Still[float]) -> None:
    writer, reader = OutcomeWriter(tmp_path, clock, segment_rows=3), OutcomeReader(tmp_path)
    writer.write([outcome(n) for n in range(1, 4)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # not even a new segment can be begun
        for _ in range(3):
            with pytest.raises(apsw.Error):
                writer.write([outcome(4)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert reader.finished_after(1, 0, 0) == {1, 2, 3}
    writer.write([outcome(4)])
    writer.close()
    OutcomeWriter(tmp_path, clock).close()
    assert reader.finished_after(1, 0, 0) == {1, 2, 3, 4}


def test_a_segment_whose_making_was_cut_short_is_made_at_the_next_start(tmp_path: Path, clock: Still[float]) -> None:
    OutcomeWriter(tmp_path, clock).close()
    (tmp_path / "00000002.db").touch()
    assert OutcomeReader(tmp_path).finished_after(1, 0, 0) == set()
    writer = OutcomeWriter(tmp_path, clock)
    writer.write([outcome(1)])
    writer.close()
    assert OutcomeReader(tmp_path).finished_after(1, 0, 0) == {1}


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path, clock: Still[float]) -> None:
    OutcomeWriter(tmp_path, clock).close()
    path = tmp_path / "00000001.db"
    db = apsw.Connection(str(path))
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(NewerOutcomes, match="another version"):
        OutcomeWriter(tmp_path, clock)


def test_only_the_owner_can_read_the_files(tmp_path: Path, clock: Still[float]) -> None:
    folder = tmp_path / "outcomes"
    OutcomeWriter(folder, clock).close()
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_half_a_surrogate_pair_in_an_answers_reason_does_no_harm(tmp_path: Path, clock: Still[float]) -> None:
    writer = OutcomeWriter(tmp_path, clock)
    writer.write([outcome(1)], [attempt(1, reason="odd \ud83d text")])
    writer.close()
    assert OutcomeReader(tmp_path).attempts(Position(0, 1), 1)[0].reason == "odd \N{REPLACEMENT CHARACTER} text"


# Damage


def files_of(folder: Path, clock: Still[float], count: int) -> None:
    """Each with the outcome of one event: that of its number."""
    writer = OutcomeWriter(folder, clock, segment_rows=1)
    for offset in range(1, count + 1):
        writer.write([outcome(offset)])
    writer.close()


def spoil(path: Path, how: str) -> None:
    if how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(b"no database " * 2_000)
    elif how == "cut short":
        path.write_bytes(path.read_bytes()[:8192])
    else:
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xa5" * (len(content) - 4096)
        path.write_bytes(content)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


DAMAGES = ["empty", "garbage", "cut short", "bad pages"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_file_that_cannot_be_read_is_named_and_passed_by(tmp_path: Path, clock: Still[float], how: str) -> None:
    files_of(tmp_path, clock, 3)
    spoil(tmp_path / "00000002.db", how)
    reader = OutcomeReader(tmp_path)
    assert reader.of(Position(0, 1)) == [outcome(1)]
    assert list(reader.unreadable) == ["00000002.db"]
    assert reader.finished_after(1, 0, 0) == {1, 3}
    assert reader.finished_after(1, 0, 0, 2) == {1}
    assert reader.attempts(Position(0, 2), 1) == []
    assert reader.last_ended(1, [Position(0, 2), Position(0, 3)]) == {Position(0, 3): AT}
    assert reader.totals() == {(1, State.delivered, ""): 2}
    assert reader.oldest() == AT // 1000
    assert reader.end(0) == 3
    assert reader.end(1) == 0


@pytest.mark.parametrize("how", DAMAGES)
def test_a_file_that_cannot_be_read_goes_with_its_time_and_keeps_no_other(
    tmp_path: Path, clock: Still[float], how: str
) -> None:
    files_of(tmp_path, clock, 3)
    spoil(tmp_path / "00000002.db", how)
    os.utime(tmp_path / "00000002.db", (AT / 1000, AT / 1000))
    writer = OutcomeWriter(tmp_path, clock)
    assert writer.drop_old(keep=1000) == 0
    clock.at += 2000
    assert writer.drop_old(keep=1000) == 2
    assert segments(tmp_path) == [3]
    assert OutcomeReader(tmp_path).totals() == {(1, State.delivered, ""): 2}
    writer.close()


@pytest.mark.parametrize("how", DAMAGES[1:])
def test_a_damaged_newest_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, clock: Still[float], how: str) -> None:
    files_of(tmp_path, clock, 2)
    spoil(tmp_path / "00000002.db", how)
    content = (tmp_path / "00000002.db").read_bytes()
    writer = OutcomeWriter(tmp_path, clock)
    writer.write([outcome(7)])
    writer.close()
    assert segments(tmp_path) == [1, 3]
    (aside,) = tmp_path.glob("00000002.db.damaged-*")
    assert aside.read_bytes() == content, "nothing of it is thrown away"
    assert OutcomeReader(tmp_path).finished_after(1, 0, 0) == {1, 7}


def test_a_newest_file_that_turns_out_to_be_damaged_while_it_is_written_is_left_behind(
    tmp_path: Path, clock: Still[float]
) -> None:
    writer = OutcomeWriter(tmp_path, clock)
    writer.write([outcome(n) for n in range(1, 2001)])
    writer.close()
    path = tmp_path / "00000001.db"
    db = apsw.Connection(str(path))
    (page,) = next(db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'attempts'"))
    db.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    writer = OutcomeWriter(tmp_path, clock)
    writer.write([outcome(3000)], [attempt(3000)])
    writer.close()
    reader = OutcomeReader(tmp_path)
    assert segments(tmp_path) == [1, 2]
    assert reader.finished_after(1, 0, 1990) == {*range(1991, 2001), 3000}, "what can be read is read"
    assert len(reader.attempts(Position(0, 3000), 1)) == 1


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_counts_are_set_aside_and_begun_anew(tmp_path: Path, clock: Still[float], how: str) -> None:
    files_of(tmp_path, clock, 3)
    writer = OutcomeWriter(tmp_path, clock)
    clock.at += 10
    assert writer.drop_old(keep=1) == 2
    writer.close()
    files_of(tmp_path / "more", clock, 1)
    (tmp_path / "more" / "00000001.db").rename(tmp_path / "00000002.db")
    spoil(tmp_path / "counters.db", how)
    assert OutcomeReader(tmp_path).totals() == {(1, State.delivered, ""): 2}
    writer = OutcomeWriter(tmp_path, clock)
    clock.at += 10
    assert writer.drop_old(keep=1) == 1
    assert OutcomeReader(tmp_path).totals() == {(1, State.delivered, ""): 2}
    assert len(list(tmp_path.glob("counters.db.damaged-*"))) == (how != "empty")
    writer.close()


KILLED_WHILE_IT_BEGINS = """
import sys
from pathlib import Path
from milonga.outcomes.writer import OutcomeWriter
print(flush=True)
for number in range(100_000):
    OutcomeWriter(Path(sys.argv[1]) / str(number), lambda: 0.0).close()
"""


def test_a_process_may_be_killed_at_any_moment_of_beginning_a_file(tmp_path: Path, clock: Still[float]) -> None:
    for turn in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED_WHILE_IT_BEGINS, str(tmp_path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            deadline = time.monotonic() + 30
            while not (tmp_path / str(turn * 7 + 3)).exists():
                assert time.monotonic() < deadline
            process.kill()
        folders = sorted(tmp_path.iterdir())
        assert folders
        for folder in folders:
            writer = OutcomeWriter(folder, clock)
            writer.write([outcome(1)])
            writer.close()
            assert OutcomeReader(folder).finished_after(1, 0, 0) == {1}
            shutil.rmtree(folder)
