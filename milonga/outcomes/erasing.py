"""Erasing what attempts say of events: the answer's words may repeat what was sent. Outcomes name nobody, and stay."""

import time
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw

from milonga.eventlog.api import Position
from milonga.eventlog.aside import UNREADABLE
from milonga.outcomes.files import is_begun, open_to_write, path_of, segments
from milonga.privacy.subject import Named

TRIES: Final = 50  #: to empty a write-ahead log that somebody reads just now
AGAIN: Final = 0.1  #: seconds between them
AT_ONCE: Final = 500  #: positions of one transaction: the writer waits for no more


def erase_attempts(folder: Path, positions: Sequence[Position]) -> tuple[int, list[str]]:
    """
    How many attempts were erased, and which files cannot be read. For the delivery process alone, in any thread; what
    was written before is found. apsw.BusyError if somebody reads a file all the time: try again.
    """
    erased, left = 0, []
    for number in segments(folder):
        path = path_of(folder, number)
        try:
            erased += _erase(path, positions)
        except UNREADABLE:
            left.append(path.name)
        except apsw.CantOpenError:
            if path.exists():
                left.append(path.name)
    return erased, left


def erase_words(folder: Path, users: Collection[str]) -> int:
    """
    How many attempts named one of these users: of events that have left the log, or of others. What the receiver said
    goes from them, all else stays. As above.
    """
    named, erased = Named(users), 0
    for number in segments(folder):
        try:
            erased += _erase_words(path_of(folder, number), named)
        except (apsw.CantOpenError, *UNREADABLE):
            continue  # told by the other
    return erased


def _erase_words(path: Path, named: Named) -> int:
    erased, after = 0, 0
    with closing(open_to_write(path)) as db:
        db.pragma("secure_delete", True)
        if not is_begun(db):
            return 0
        query = "SELECT rowid, reason, answer FROM attempts WHERE rowid > ? ORDER BY rowid LIMIT ?"
        while rows := list[Any](db.execute(query, (after, AT_ONCE))):
            after = rows[-1][0]
            found = [(row,) for row, reason, answer in rows if named(answer) or named(reason.encode(errors="replace"))]
            if found:
                with db:
                    db.executemany("UPDATE attempts SET reason = '', answer = x'' WHERE rowid = ?", found)
                erased += len(found)
        if erased:
            empty_wal(db)
    return erased


def _erase(path: Path, positions: Sequence[Position]) -> int:
    erased = 0
    with closing(open_to_write(path)) as db:
        db.pragma("secure_delete", True)
        if not is_begun(db):
            return 0
        for begin in range(0, len(positions), AT_ONCE):
            some = positions[begin : begin + AT_ONCE]
            with db:
                before = db.total_changes()
                db.executemany("DELETE FROM attempts WHERE partition = ? AND offset = ?", some)
                erased += db.total_changes() - before
        if erased:
            empty_wal(db)
    return erased


def empty_wal(db: apsw.Connection) -> None:
    """Nothing is left in the write-ahead log. apsw.BusyError if that cannot be."""
    for _ in range(TRIES):
        if not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").get[0]:
            return
        time.sleep(AGAIN)
    raise apsw.BusyError(f"{db.filename} is being read all the time")


def set_aside_files(folder: Path) -> list[str]:
    """Damaged files that were kept: nobody can say what is in them."""
    return sorted(path.name for path in folder.glob("*.damaged-*") if not path.name.endswith(("-wal", "-shm")))
