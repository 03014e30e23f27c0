"""
One segment of the log is one SQLite file, named by its first offset. The newest is active, all others are sealed:
a segment is sealed by the next one being there, so that no crash leaves two active ones.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import apsw

from milonga.eventlog.api import Offset
from milonga.eventlog.aside import with_companions
from milonga.eventlog.counters import TABLES as COUNTER_TABLES
from milonga.eventlog.folders import sync_folder
from milonga.eventlog.record import TABLES, check_format
from milonga.spec.stored import FORMAT

APPLICATION_ID = 0x4D696C6F  #: what `file` shows of a segment ("Milo")
BUSY = 5_000  #: milliseconds to wait for another process that recovers the same file
DRAFT_OF_ERASED = "erased.db"  #: see milonga.eventlog.erasing
DRAFT_OF_SALVAGED = "salvaged.db"  #: see milonga.eventlog.salvage
WAL_LIMIT = 32 * 1024 * 1024  #: bytes a write-ahead log keeps after it was checkpointed

Step = Callable[[str], None]
"""Called at each named step of the write path, so that a test can end the process there."""


def no_step(_name: str) -> None:
    pass


def path_of(folder: Path, first: Offset) -> Path:
    return folder / f"{first:016d}.db"


def list_segments(folder: Path) -> list[Offset]:
    """First offsets of all segments, oldest first; empty if there is no log yet."""
    try:
        with os.scandir(folder) as entries:  # a tenth of what paths of some hundred files would take
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return []
    return sorted(int(name[:16]) for name in names if len(name) == 19 and name.endswith(".db") and name[:16].isdigit())


def create(folder: Path, first: Offset, at: int, on_step: Step = no_step, *, lost_from: Offset | None = None) -> None:
    """
    Make an empty segment. It gets its name when it is complete, so nobody ever sees half of one.

    at         unix milliseconds
    lost_from  the log holds nothing from this offset up to `first`: what there was is gone, and told
    """
    draft = folder / "new.db"
    for path in with_companions(draft):
        path.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        _fill(draft, first, at, lost_from)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    on_step("segment-created")
    draft.rename(path_of(folder, first))
    sync_folder(folder)
    on_step("segment-named")


def _fill(draft: Path, first: Offset, at: int, lost_from: Offset | None) -> None:
    """Not yet durable."""
    connection = _connect(draft, apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.pragma("synchronous", "off")
        connection.pragma("page_size", 16384)
        connection.pragma("application_id", APPLICATION_ID)
        connection.execute("BEGIN")
        connection.execute(TABLES)
        connection.execute(COUNTER_TABLES)
        connection.execute("INSERT INTO meta VALUES ('first', ?), ('created_at', ?)", (first, at))
        if lost_from is not None:
            connection.execute("INSERT INTO meta VALUES ('lost_from', ?)", (lost_from,))
        connection.pragma("user_version", FORMAT)
        connection.execute("COMMIT")
        connection.pragma("journal_mode", "wal")
    finally:
        connection.close()


def remove(path: Path) -> None:
    """Readers that have it open can go on; new ones find it gone."""
    for part in with_companions(path):
        part.unlink(missing_ok=True)


def remove_strays(folder: Path) -> None:
    """What a crash may have left: drafts, and companions of a removed segment."""
    remove(folder / "new.db")
    remove(folder / DRAFT_OF_ERASED)
    remove(folder / DRAFT_OF_SALVAGED)
    for path in folder.glob("*.db-*"):
        if not path.with_name(path.name[:-4]).exists():
            path.unlink(missing_ok=True)


def lost_from(connection: apsw.Connection) -> Offset | None:
    """See `create`."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'lost_from'").get
    return found if isinstance(found, int) else None


def _connect(path: Path, flags: int, options: str = "") -> apsw.Connection:
    connection = apsw.Connection(f"file:{quote(str(path))}{options}", flags=flags | apsw.SQLITE_OPEN_URI)
    connection.set_busy_timeout(BUSY)
    return connection


def _not_empty(path: Path) -> Path:
    """SQLite would take an empty file for a new one, and throw away what lies in its write-ahead log."""
    with suppress(FileNotFoundError):
        if path.stat().st_size == 0:
            raise apsw.NotADBError(f"{path} is empty")
    return path


def _checked(connection: apsw.Connection, path: Path) -> apsw.Connection:
    try:
        version = connection.pragma("user_version")
        if version == 0:
            raise apsw.NotADBError(f"{path} is no segment")  # noqa: TRY301 - the handler only closes the file
        check_format(version, path)
        connection.pragma("cell_size_check", True)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_write(path: Path, cache: int = 8_000) -> apsw.Connection:
    """
    Commits survive a power cut; checkpoints are the caller's to make.

    cache  kibibytes
    """
    connection = _checked(_connect(_not_empty(path), apsw.SQLITE_OPEN_READWRITE), path)
    connection.pragma("synchronous", "full")
    connection.pragma("cache_size", -cache)
    connection.pragma("journal_size_limit", WAL_LIMIT)
    connection.wal_autocheckpoint(0)
    return connection


def open_to_read(path: Path, *, cache: int = 1_000) -> apsw.Connection:
    """Works beside a writer and after one was killed. apsw.CantOpenError if the file is gone."""
    connection = _checked(_connect(_not_empty(path), apsw.SQLITE_OPEN_READONLY), path)
    connection.pragma("cache_size", -cache)
    return connection


def open_settled(path: Path) -> apsw.Connection | None:
    """
    A sealed segment that will never change again, without the cost of locks; None if it is not that far.
    It is once it has its indexes and nothing is left in its write-ahead log.
    """
    try:
        if path.with_name(path.name + "-wal").stat().st_size:
            return None
    except FileNotFoundError:
        pass
    connection = _checked(_connect(_not_empty(path), apsw.SQLITE_OPEN_READONLY, "?immutable=1"), path)
    if not has_indexes(connection):
        connection.close()
        return None
    connection.pragma("cache_size", -128)
    return connection


def open_sealed(path: Path) -> apsw.Connection:
    """The cheapest way in that is right."""
    return open_settled(path) or open_to_read(path)


def has_indexes(connection: apsw.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = 'events_message_id'")
    return found.get is not None


def newest(connection: apsw.Connection, first: Offset) -> Offset:
    """Offset of the newest event in this segment; first - 1 if it is empty."""
    found = connection.execute("SELECT max(offset) FROM events").get
    return first - 1 if found is None else int(found)
