"""Why an append is refused: the disk is full, or the log has all that it may take."""

from pathlib import Path

from milonga.eventlog.levels import MB
from milonga.eventlog.room import Room


def test_a_log_that_is_too_large_once_its_write_ahead_log_is_moved_is_not_called_a_full_disk(tmp_path: Path) -> None:
    room = Room(tmp_path, reserve=0, most=2 * MB)
    assert not room.is_short(MB)
    assert room.is_short(2 * MB)
    assert room.refusal == "the log takes 2 MB, and may have 2 MB"


def test_a_full_disk_is_called_one_also_where_the_log_has_a_bound(tmp_path: Path) -> None:
    room = Room(tmp_path, reserve=1 << 60, most=2 * MB)
    assert room.is_short(0)
    assert room.refusal.endswith(f"{(1 << 60) // MB} MB are left to delivery")
