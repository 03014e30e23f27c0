"""
What was asked of a whole file of outcomes, remembered by this process. For files that another one follows: the writer
adds nothing to them any more. So a chart of two weeks reads one file, and remembers what the minutes of the others add
up to.
"""

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from milonga.eventlog.aside import with_companions

MOST: Final = 100_000  #: rows of all answers together: some 20 MB; beyond it all are forgotten
OF_ONE: Final = MOST // 5  #: rows of an answer; a longer one is not remembered

T = TypeVar("T")

_kept: dict[tuple[Hashable, ...], list[Any]] = {}


class _State(NamedTuple):
    """Another one after each write."""

    inode: int
    mtime: int
    size: int


def _state_of(path: Path) -> _State | None:
    """None if there is no such file."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return _State(about.st_ino, about.st_mtime_ns, about.st_size)


def of_whole(path: Path, what: Hashable, ask: Callable[[], list[T]]) -> list[T]:
    """
    The rows that `ask` finds in this file; asked again if the file is another one, or was written to.

    what  names the question
    ask   of a file that cannot be read, it finds nothing: then nothing is remembered
    """
    state = _state_of(path)
    if state is None:
        return []  # it was dropped a moment ago
    wal = _state_of(with_companions(path)[1])
    key = (path, state, wal if wal and wal.size else None, what)  # readers make empty ones
    found = _kept.get(key)
    if found is None:
        found = ask()
        if 0 < len(found) <= OF_ONE:
            if sum(map(len, list(_kept.values()))) + len(found) > MOST:
                _kept.clear()
            _kept[key] = found
    return found
