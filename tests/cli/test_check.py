"""`milonga check`: every kind of damage is found, named, counted, and answered with what to do."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from milonga.eventlog.segment import path_of
from tests.cli.filled import EVENTS
from tests.commands import milonga

PAGE = 16384


def check(data: Path) -> tuple[int, dict[str, Any]]:
    done = milonga("check", "--json", "--data", str(data))
    return done.returncode, json.loads(done.stdout)


def change(path: Path, sql: str) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as db:
        db.execute(sql)


def test_a_sound_directory_is_said_to_be_sound(data: Path) -> None:
    code, said = check(data)
    assert (code, said["ok"], said["problems"], said["notes"]) == (0, True, [], [])
    assert said["events"] == EVENTS
    assert {one["file"] for one in said["files"]} == {path.relative_to(data).as_posix() for path in data.rglob("*.db")}
    done = milonga("check", "--data", str(data))
    assert "All is well." in done.stdout


def test_it_changes_nothing(data: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*.db")}
    check(data)
    assert {path: path.read_bytes() for path in data.rglob("*.db")} == before


def garbage(path: Path) -> None:
    path.write_bytes(b"no database " * 2_000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def one_byte_of_an_event(path: Path) -> None:
    found = bytearray(path.read_bytes())
    found[found.index(b'"type":"track"') + 9] ^= 1
    path.write_bytes(found)


def a_page(path: Path) -> None:
    """Of the first that hold events."""
    found = bytearray(path.read_bytes())
    size = int.from_bytes(found[16:18], "big") or 65536
    with contextlib.closing(apsw.Connection(str(path))) as db:
        root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events'").get
    assert isinstance(root, int)
    found[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(found)


def an_index(path: Path) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as db:
        (row,) = db.execute("SELECT * FROM sqlite_schema WHERE name = 'events_user'").fetchall()
        db.execute("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'events_user'")
    change(path, "UPDATE events SET user_id = 'somebody else' WHERE offset = 60")
    with contextlib.closing(apsw.Connection(str(path))) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("INSERT INTO sqlite_schema VALUES (?,?,?,?,?)", row)


Spoil = Callable[[Path], None]
FIRST, MIDDLE, LAST = (f"log/{n:016d}.db" for n in (1, 51, 101))

CASES: dict[str, tuple[str, Spoil, str, str, int | None]] = {
    "the workspace is garbage": ("workspace.db", garbage, "cannot be read", "Put back a copy", None),
    "the workspace is missing": ("workspace.db", Path.unlink, "is missing", "Put back a copy", None),
    "delivery.db is garbage": ("delivery.db", garbage, "cannot be read", "Restart the server", None),
    "an older file of outcomes is garbage": ("outcomes/00000001.db", garbage, "cannot be read", "delete it", None),
    "the newest outcomes are garbage": ("outcomes/00000002.db", garbage, "cannot be read", "Restart the server", None),
    "the newest outcomes are empty": ("outcomes/00000002.db", empty, "it is empty", "", None),
    "a segment is garbage": (FIRST, garbage, "cannot be read", "Nothing brings them back", 0),
    "the newest segment is garbage": (LAST, garbage, "cannot be read", "Restart the server", None),
    "an event has a wrong byte": (MIDDLE, one_byte_of_an_event, "the checksum does not fit", "passes by them", 1),
    "a page of events is unreadable": (MIDDLE, a_page, "cannot be read", "passes by them", 25),
    "an index is wrong": (MIDDLE, an_index, "an index is damaged", "REINDEX", 0),
    "the counts are garbage": ("log/counters.db", garbage, "cannot be read", "a new one begun", None),
    "events were deleted": (
        MIDDLE,
        lambda path: change(path, "DELETE FROM events WHERE offset BETWEEN 60 AND 62"),
        "it is missing: offsets 60 to 62",
        "passes by them",
        3,
    ),
    "a dead letter cannot be read": (
        "delivery.db",
        lambda path: change(path, "UPDATE dead SET stamp = x'00'"),
        "1 dead letters cannot be read",
        "report it",
        1,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_damage_is_found_and_counted(case: str, data: Path) -> None:
    name, spoil, what, fix, count = CASES[case]
    spoil(data / name)
    code, said = check(data)
    assert (code, said["ok"]) == (1, False)
    (problem,) = [one for one in said["problems"] if one["file"] == name]
    assert what in problem["what"], problem
    assert fix in problem["fix"]
    assert problem["lost"]
    assert problem["count"] == count
    done = milonga("check", "--data", str(data))
    assert done.returncode == 1
    assert f"{name}: {problem['what']}" in done.stdout
    assert f"do:   {problem['fix']}" in done.stdout


CUT_SHORT = """
import os, signal, sys, apsw
db = apsw.Connection(sys.argv[1])
db.pragma("cache_size", 5)
db.execute("CREATE TABLE t(x); BEGIN")
for _ in range(100):
    db.execute("INSERT INTO t VALUES (zeroblob(10000))")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", ["delivery.db", "outcomes/00000003.db", "log/counters.db"])
def test_a_file_whose_making_a_crash_cut_short_is_no_damage(name: str, data: Path) -> None:
    (data / name).unlink(missing_ok=True)
    subprocess.run([sys.executable, "-c", CUT_SHORT, str(data / name)], check=False)
    assert (data / f"{name}-journal").stat().st_size
    code, said = check(data)
    assert (code, said["problems"]) == (0, [])
    assert any(name in note and "the next start takes it back" in note for note in said["notes"])
    assert milonga("events", "counts", "--data", str(data)).returncode == 0


def test_lost_events_that_had_ended_are_told_apart(data: Path) -> None:
    change(data / "outcomes" / "00000002.db", "DELETE FROM outcomes WHERE offset IN (60, 61)")
    change(data / "log" / "0000000000000051.db", "DELETE FROM events WHERE offset BETWEEN 60 AND 62")
    (problem,) = check(data)[1]["problems"]
    assert problem["count"] == 3
    assert "2 had no outcome yet" in problem["lost"]


def test_a_hole_in_the_log_is_told_with_its_size(data: Path) -> None:
    path_of(data / "log", 51).unlink()
    (problem,) = check(data)[1]["problems"]
    assert problem["file"] == "log/0000000000000026.db"
    assert "offsets 51 to 75" in problem["what"]
    assert problem["count"] == 25


def test_a_log_that_ends_before_what_delivery_remembers(data: Path) -> None:
    """As when single files of an older copy are put back."""
    path_of(data / "log", 101).unlink()
    (problem,) = check(data)[1]["problems"]
    assert problem["file"] == "log"
    assert "ends at offset 100, but delivery remembers offset 120" in problem["what"]
    assert "20 outcomes are of later events" in problem["what"]
    assert problem["count"] == 20


def test_a_log_that_begins_behind_what_delivery_has_read(data: Path) -> None:
    change(data / "delivery.db", "UPDATE positions SET watermark = 30")
    for first in (1, 26, 51):
        path_of(data / "log", first).unlink()
    (problem,) = check(data)[1]["problems"]
    assert (problem["file"], problem["count"]) == ("delivery.db", 45)
    assert "totango has read to offset 30, and the log begins at 76" in problem["what"]


def test_what_a_position_has_passed_without_an_outcome(data: Path) -> None:
    change(data / "outcomes" / "00000001.db", "UPDATE about SET created_at = 0")
    assert check(data)[0] == 0
    change(data / "outcomes" / "00000001.db", "DELETE FROM outcomes WHERE offset IN (7, 8, 20)")
    change(data / "delivery.db", "INSERT INTO parked VALUES (1, 0, 20, 1, 1, '[]', 0, 0, NULL, NULL)")
    (problem,) = check(data)[1]["problems"]
    assert problem["count"] == 2, "the parked one waits"
    assert "2 events have no outcome at totango, which has passed them: offsets 7 to 8" in problem["what"]
    change(data / "delivery.db", "UPDATE positions SET watermark = 6")
    assert check(data)[0] == 0, "they wait to be read"


def test_what_was_set_aside_is_recalled_until_it_is_deleted(data: Path) -> None:
    aside = data / "outcomes" / "00000001.db.damaged-1700000000"
    aside.write_bytes(b"x")
    (problem,) = check(data)[1]["problems"]
    assert problem["file"] == "outcomes/00000001.db.damaged-1700000000"
    assert "delete it" in problem["fix"]
    aside.unlink()
    assert check(data)[0] == 0


def test_a_missing_key_is_noted(data: Path) -> None:
    (data.parent / "data.key").unlink()
    code, said = check(data)
    assert code == 0
    assert "need the key" in said["notes"][0]


def test_a_backup_can_be_checked_where_it_lies(data: Path, tmp_path: Path) -> None:
    assert milonga("backup", str(tmp_path / "copy"), "--data", str(data)).returncode == 0
    assert check(tmp_path / "copy")[0] == 0
    assert milonga("restore", str(tmp_path / "copy"), "--data", str(tmp_path / "new")).returncode == 0, "still the same"
    one_byte_of_an_event(tmp_path / "copy" / MIDDLE)
    assert check(tmp_path / "copy")[0] == 1


def test_the_wrong_directory_is_no_sound_one(tmp_path: Path, data: Path) -> None:
    for wrong in (tmp_path / "nothing", tmp_path):
        done = milonga("check", "--data", str(wrong))
        assert (done.returncode, "There is no workspace" in done.stderr) == (1, True)
    shutil.rmtree(data / "log")
    assert check(data)[1]["problems"][0]["file"] == "log"


def test_commits_behind_a_damaged_place_of_a_write_ahead_log_are_told(data: Path, tmp_path: Path) -> None:
    """As a SIGKILL leaves it: SQLite itself reads up to there, and says nothing."""
    copy = tmp_path / "copy"
    with contextlib.closing(apsw.Connection(str(data / "delivery.db"))) as db:
        for n in range(3):
            db.execute("INSERT OR REPLACE INTO positions VALUES(1, 0, ?)", (n,))
        shutil.copytree(data, copy)
    wal = copy / "delivery.db-wal"
    found = bytearray(wal.read_bytes())
    found[100] ^= 1
    wal.write_bytes(found)
    code, said = check(copy)
    assert wal.read_bytes() == bytes(found), "what lies behind it is still there, to be looked at"
    assert code == 1
    (problem,) = [one for one in said["problems"] if one["file"] == "delivery.db-wal"]
    assert problem["what"] == "has 3 commits behind a damaged place, where nothing is read"


def test_a_damaged_write_ahead_log_of_the_workspace_is_left_as_it_is(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with contextlib.closing(apsw.Connection(str(data / "workspace.db"))) as db:
        for n in range(3):
            db.execute("UPDATE source SET name = ?", (f"apps {n}",))
        shutil.copytree(data, copy)
    wal = copy / "workspace.db-wal"
    found = bytearray(wal.read_bytes())
    found[100] ^= 1
    wal.write_bytes(found)
    code, said = check(copy)
    assert (code, [one["file"] for one in said["problems"]]) == (1, ["workspace.db-wal"])
    assert any("Not compared" in note for note in said["notes"])
    assert wal.read_bytes() == bytes(found)
