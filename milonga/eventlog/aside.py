"""What to do about a SQLite file that is damaged: out of the way with it, under a name that says so; never deleted."""

import time
from pathlib import Path

import apsw

DAMAGED = (apsw.CorruptError, apsw.NotADBError)
"""What SQLite raises for a file that will not get better by itself."""

UNREADABLE = (*DAMAGED, apsw.IOError, apsw.FormatError, UnicodeDecodeError)
"""What it raises for a damaged page, a damaged file, or a disk that cannot read it; the last for text that is none."""


def with_companions(path: Path) -> list[Path]:
    """The file first: without it the other two mean nothing."""
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


def set_aside(path: Path) -> Path:
    """
    Rename the file, and what belongs to it, to `<name>.damaged-<unix seconds>`; return the new path. Nobody must have
    it open to write.
    """
    number = int(time.time())
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for part, name in zip(with_companions(path), with_companions(aside), strict=True):
        if part.exists():
            part.rename(name)
    return aside
