"""Files of the index that are damaged: all but the memory is made again."""

from pathlib import Path

import apsw

from milonga.index.memory import NAME as MEMORY
from milonga.index.memory import Memory
from milonga.index.stretch import open_path, remove, stretches


def forget_damaged(folder: Path) -> None:
    """Which of the files it was is soon found: each is tried, and goes if it cannot be read."""
    for first in stretches(folder)[1]:
        if not is_whole(open_path(folder, first)):
            remove(open_path(folder, first))
    if (folder / MEMORY).exists() and not is_whole(folder / MEMORY):
        Memory.forget_all(folder / MEMORY)


def is_whole(path: Path) -> bool:
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return bool(db.execute("PRAGMA quick_check(1)").get == "ok")
        finally:
            db.close()
    except apsw.Error:
        return False
