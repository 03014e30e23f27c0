"""
What lies behind a damaged frame of a segment's write-ahead log. SQLite reads up to that frame and no further:
one wrong bit would cost all that was acknowledged after it. But the pages behind it are whole, and each event has a
checksum of its own. So the pages are put into a copy of the segment, the copy is read as far as it can be, and every
event whose checksum fits goes back to its offset. What is missing between them is named by whoever reads the log.
"""

import errno
import shutil
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import apsw
import structlog

from milonga.eventlog.api import Offset, Stored
from milonga.eventlog.aside import UNREADABLE, with_companions
from milonga.eventlog.record import RECORD, insert, record, stored
from milonga.eventlog.segment import DRAFT_OF_SALVAGED, newest, open_to_write, remove
from milonga.eventlog.wal import Frame, Lost, frames_behind, tell_lost
from milonga.identity.duplicates import key_of
from milonga.spec.stored import Stamped

STEP = 256  #: pages copied at once
ROOM = 2  #: times what the copy takes must be free: others need room, too
LEAF, INTERIOR = 0x0D, b"\x05"  #: first bytes of pages of a table: https://www.sqlite.org/fileformat2.html#b_tree_pages
LEAST = 200  #: bytes that an event takes, at least: its stamp alone has more
NEAR = 1_000  #: offsets; who is further on is not believed to be next
MOST_HOLES = 20_000  #: offsets one after the other that cannot be read, after which nothing more is looked for
AGAIN = 4  #: times as many rows as there can be, after which no more are read: those of mixed up pages recur

SCAN = f"SELECT {RECORD} FROM events WHERE offset >= ? ORDER BY offset"  # noqa: S608

PUT = insert(1).replace("INSERT", "INSERT OR IGNORE", 1)
COUNT = "SELECT count(*), max(offset) FROM events WHERE offset > ?"

log = structlog.get_logger("milonga.eventlog")


def salvage_sealed(path: Path, first: Offset, last: Offset) -> None:
    """
    The same for a segment that was sealed before a crash. Asked before anybody reads the log: to a reader, what is
    missing in a sealed segment is gone for good. Raises what opening it does.
    """
    wal = with_companions(path)[1]
    if wal.exists() and wal.stat().st_size:
        with closing(open_to_write(path)) as connection:
            tell_and_salvage(path, connection, first, last)


def tell_and_salvage(path: Path, connection: apsw.Connection, first: Offset, last: Offset | None = None) -> None:
    """
    If anything lies behind a damaged frame: say so, keep a copy of the write-ahead log, and put back what can be. Asked
    when whoever writes the segment has had a first look into it, and before the first change. Raises nothing: what
    cannot be put back is lost, and told.

    first, last  offsets of the segment; the last if it is sealed
    """
    found = tell_lost(path, connection, "what `wal_salvaged` does not say was put back: it was answered with 200")
    if found is None:
        return
    draft = path.with_name(DRAFT_OF_SALVAGED)
    remove(draft)
    try:
        frames, after = frames_behind(found), newest(connection, first)
        beyond = after + len(frames) * (found.page // LEAST)
        if last is not None:
            beyond = min(beyond, last)
        _copy(connection, draft, len(frames) * found.page)
        with connection:  # one transaction
            for doubtful in (False, True):
                _put_pages(draft, found, frames, doubtful=doubtful)
                _put_back(connection, first, _whole(draft, after, beyond), without_gaps=found.commits == 1)
            count, now_last = connection.execute(COUNT, (after,)).get
    except Exception as error:  # whatever it is, the server must start
        log.error("wal_not_salvaged", file=f"{path}-wal", error=f"{type(error).__name__}: {error}")
    else:
        missing = now_last - after - count if count else 0
        log.warning("wal_salvaged", file=f"{path}-wal", events=count, missing=missing)
    finally:
        remove(draft)


def _copy(connection: apsw.Connection, draft: Path, more: int) -> None:
    """
    The segment as SQLite sees it; its own files are SQLite's alone to open.

    more  bytes that it will grow by, at most
    """
    size = int(connection.pragma("page_count")) * int(connection.pragma("page_size")) + more
    if shutil.disk_usage(draft.parent).free < ROOM * size:
        raise OSError(errno.ENOSPC, f"a copy takes {size} bytes, and {ROOM} times that must be free")
    draft.touch(mode=0o600)
    with closing(apsw.Connection(str(draft), flags=apsw.SQLITE_OPEN_READWRITE)) as target:
        target.pragma("synchronous", "off")
        target.pragma("journal_mode", "off")
        with target.backup("main", connection, "main") as copy:
            while not copy.done:
                copy.step(STEP)


def _put_pages(draft: Path, lost: Lost, frames: list[Frame], *, doubtful: bool) -> None:
    """
    In their order. The first page stays: only its number of pages changes.

    doubtful  those that may be damaged, too, where they hold events, each of which is checked: a page that leads to
              others is better in an older state
    """
    size = lost.page
    with draft.open("r+b") as file, lost.copy.open("rb") as log_:
        pages = draft.stat().st_size // size
        most = pages + len(frames)
        for frame in frames:
            if not 2 <= frame.page <= most or not (frame.sound or doubtful):
                continue
            log_.seek(frame.at)
            content = log_.read(size)
            place = (frame.page - 1) * size
            file.seek(place)
            if frame.sound or (content[0] == LEAF and file.read(1) != INTERIOR):
                file.seek(place)
                file.write(content)
                pages = max(pages, frame.page)
        file.seek(18)
        file.write(b"\x01\x01")  # without a write-ahead log
        file.seek(28)
        file.write(struct.pack(">I", pages))


def _whole(draft: Path, after: Offset, beyond: Offset) -> Iterator[tuple[Offset, Stamped]]:
    """
    The events between whose checksum fits, around whatever cannot be read. Where a page stands in another's place they
    do not ascend.
    """
    with closing(apsw.Connection(str(draft), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        db.pragma("cell_size_check", True)
        at, holes, left = after + 1, 0, AGAIN * (beyond - after)
        while at <= beyond and holes < MOST_HOLES:
            try:
                for row in db.execute(SCAN, (at,)):
                    left -= 1
                    if left < 0:
                        return
                    if (
                        isinstance(row[0], int)
                        and after < row[0] <= beyond
                        and isinstance(found := stored(row), Stored)
                    ):
                        holes = 0
                        if at <= row[0] < at + NEAR:
                            at = row[0]
                        yield row[0], found.event
            except UNREADABLE:
                at, holes = at + 1, holes + 1
            else:
                return


def _put_back(
    connection: apsw.Connection, first: Offset, events: Iterator[tuple[Offset, Stamped]], *, without_gaps: bool
) -> None:
    """
    Those that are not there yet, neither at their place nor at another: behind the last commit there may be what was
    written of one that was refused, and its sender has sent that again.

    without_gaps  only what follows on the newest: a single commit may never have been finished, then whoever sent it
                  sends it again, and what came before must not come after
    """
    due, ids = newest(connection, first) + 1, set[int]()
    with suppress(*UNREADABLE):
        for row in connection.execute("SELECT source, message_id FROM events"):
            ids.add(key_of(*row))
    for offset, event in events:
        key = key_of(event.stamp.source, event.stamp.message_id)
        if key in ids or (without_gaps and offset != due):
            continue
        ids.add(key)
        connection.execute(PUT, (offset, *record(event)))
        due += 1
