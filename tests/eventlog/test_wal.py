"""What was acknowledged and lies behind a damaged frame of a write-ahead log is missed, not passed by in silence."""

import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
import structlog

from milonga.eventlog.wal import FRAME, HEADER, lost_commits, lost_commits_at_rest, tell_lost

PAGE = 4096
STEP = FRAME.size + PAGE


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A database with three commits in its write-ahead log, as a SIGKILL leaves it."""
    (tmp_path / "live").mkdir()
    db = apsw.Connection(str(tmp_path / "live" / "x.db"))
    db.execute(
        f"PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; CREATE TABLE t(a); PRAGMA wal_checkpoint"
    ).fetchall()
    for n in range(3):
        db.execute("INSERT INTO t VALUES(?)", (f"row {n}",))
    (tmp_path / "found").mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / "live" / f"x.db{suffix}", tmp_path / "found")
    db.close()
    return tmp_path / "found" / "x.db"


def opened(path: Path) -> tuple[int, int]:
    """How many rows SQLite finds, and how many commits it passes by."""
    db = apsw.Connection(str(path))
    try:
        at_rest = lost_commits_at_rest(path)
        rows = db.execute("SELECT count(*) FROM t").get
        assert isinstance(rows, int)
        assert lost_commits(path, db) == at_rest
        return rows, at_rest
    finally:
        db.close()


def spoil(path: Path, at: int) -> None:
    wal = path.with_name(path.name + "-wal")
    found = bytearray(wal.read_bytes())
    found[at] ^= 0x40
    wal.write_bytes(found)


def test_of_a_sound_one_nothing_is_missing(crashed: Path) -> None:
    assert opened(crashed) == (3, 0)
    assert opened(crashed) == (3, 0)


@pytest.mark.parametrize(
    ("at", "found"),
    [
        (HEADER.size + FRAME.size + 100, (0, 3)),
        (HEADER.size + STEP + FRAME.size + 100, (1, 2)),
        (HEADER.size + 2 * STEP + FRAME.size + 100, (2, 1)),
        (HEADER.size + STEP + 9, (1, 1)),  # a salt of the second frame: it might be an old one, but the third is not
        (3, (0, 3)),
        (17, (0, 3)),
        (30, (0, 3)),
    ],
)
def test_commits_behind_a_damaged_frame_and_that_one_are_counted(
    crashed: Path, at: int, found: tuple[int, int]
) -> None:
    spoil(crashed, at)
    assert opened(crashed) == found


def test_a_damaged_head_of_the_database_is_no_damage_to_its_write_ahead_log(crashed: Path) -> None:
    crashed.write_bytes(bytes(PAGE) + crashed.read_bytes()[PAGE:])
    assert lost_commits_at_rest(crashed) == 0
    spoil(crashed, HEADER.size + STEP + FRAME.size + 100)
    assert lost_commits_at_rest(crashed) == 2


def test_frames_that_were_copied_into_the_database_before_are_not_missed(crashed: Path) -> None:
    db = apsw.Connection(str(crashed))
    db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    db.execute("INSERT INTO t VALUES('in a log begun anew')")
    copy = crashed.with_name("copy.db")
    for suffix in ("", "-wal"):
        shutil.copy(f"{crashed}{suffix}", f"{copy}{suffix}")
    db.close()
    assert opened(copy) == (4, 0)


def test_it_is_told_and_a_copy_kept(crashed: Path) -> None:
    spoil(crashed, HEADER.size + FRAME.size + 100)
    wal = crashed.with_name("x.db-wal").read_bytes()
    db = apsw.Connection(str(crashed))
    db.execute("SELECT * FROM t").fetchall()
    with structlog.testing.capture_logs() as logs:
        tell_lost(crashed, db, "the rows")
    db.close()
    (line,) = logs
    assert (line["event"], line["commits"], line["log_level"]) == ("wal_damaged", 3, "error")
    assert crashed.with_name(line["kept"]).read_bytes() == wal


def test_looking_takes_no_lock_away_from_whoever_has_it_open(crashed: Path) -> None:
    """Closing a file of SQLite's gives up all locks of the process: the next one to come would begin the index anew."""
    db = apsw.Connection(str(crashed))
    db.execute("SELECT * FROM t").fetchall()
    tell_lost(crashed, db, "the rows")
    index = crashed.with_name("x.db-shm")
    before = index.stat().st_size
    look = "import apsw, sys; apsw.Connection(sys.argv[1]).execute('SELECT * FROM t').fetchall()"
    inode = index.stat().st_ino
    subprocess.run([sys.executable, "-c", look, str(crashed)], check=True, capture_output=True)
    assert index.exists(), "another process took itself for the last one"
    assert (index.stat().st_ino, index.stat().st_size) == (inode, before)
    assert db.execute("SELECT count(*) FROM t").get == 3
    db.close()
