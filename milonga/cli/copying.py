"""
A copy of a data directory that is consistent although a server goes on writing to it. Each file is copied from a read
transaction, so that it is as of one moment; what matters is the order of these moments:

1. Files that never change again (sealed segments of the log with their indexes, outcomes but the newest) take the
   longest and go first, the oldest first. Nothing is held meanwhile.
2. `delivery.db` and the outcomes are taken as of the same moment: nothing can be committed to `delivery.db` while both
   read transactions begin. Delivery commits what an outcome rests on before the outcome, and what follows from it
   afterwards (milonga.delivery.store); so the two are as a SIGKILL at that moment would leave them, which every start
   knows how to resume.
3. Then the rest of the log: it holds every event that delivery knows of, and more. A position is never ahead of it.
4. `workspace.db` last: it knows every source, destination and settings version that the others name, so no id of
   theirs is ever given to another.

The log's counts go before its newest segments: a segment that is counted there is never counted again, so it must be
complete. The outcomes' counts go after their files: a file that was dropped in between must be in the counts.

From 2 to 4 it takes some milliseconds; then the files are read at leisure.
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import apsw

from milonga.eventlog.aside import DAMAGED, UNREADABLE
from milonga.eventlog.record import UnknownFormat
from milonga.eventlog.segment import list_segments, newest, open_settled, path_of
from milonga.eventlog.wal import leave_wal
from milonga.facts.formats import COUNTERS, DELIVERY, LOG, OUTCOMES, kind_of, known_formats, read_only
from milonga.outcomes import files as outcome_files
from milonga.workspace import database
from milonga.workspace.errors import UserError

PATIENCE: Final = 20_000  #: milliseconds to wait for the delivery process's commit
CACHE: Final = 2_000  #: kibibytes of a file being read
STEP: Final = 64  #: pages copied at once


class Taker(Protocol):
    """Where copies go."""

    def names(self) -> Collection[str]:
        """What it has."""

    def add(self, name: str, source: apsw.Connection) -> None:
        """
        name    such as `log/0000000000000001.db`
        source  in a read transaction
        apsw.Error if the source cannot be read; then it is as if nothing had been asked.
        """

    def drop(self, name: str) -> None:
        """It is not wanted after all."""


class Copied:
    """
    What a copy holds.

    first, last  offsets of the log; first is last + 1 if there are no events
    formats      kind of file -> newest format met
    left_out     file -> why: SQLite cannot read it
    """

    def __init__(self) -> None:
        self.first, self.last = 1, 0
        self.formats: dict[str, int] = {}
        self.left_out: dict[str, str] = {}


def copy(data: Path, taker: Taker) -> Copied:
    """UserError if there is nothing that could be copied, or a newer Milonga wrote it."""
    copied = Copied()
    _check_workspace(data)
    try:
        _copy_settled(data, taker, copied)
        _copy_outcomes(data, taker, copied)
        with _cut(data, taker, copied) as snapshots:
            for name, connection in snapshots:
                _add(taker, name, connection, copied)
    except UnknownFormat as error:
        raise UserError(str(error)) from error
    if database.NAME in copied.left_out:
        raise _no_workspace(data, copied.left_out[database.NAME])
    return copied


def _check_workspace(data: Path) -> None:
    """Before anything is copied."""
    path = data / database.NAME
    if database.is_unfinished(path):
        raise UserError(f"A backup is being restored into {data}, or that was cut short: there is nothing to back up.")
    try:
        snapshot(path).close()
    except (apsw.CantOpenError, *UNREADABLE) as error:
        raise _no_workspace(data, str(error)) from error


def _no_workspace(data: Path, why: str) -> UserError:
    return UserError(
        f"{data / database.NAME} cannot be read ({why}): without it a backup is worth nothing. {database.MEND} "
        "`milonga check` looks at the rest."
    )


def copy_database(source: apsw.Connection, path: Path) -> None:
    """Page by page, of a source in a read transaction. Not durable, and for its owner alone."""
    path.touch(mode=0o600)
    target = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        target.pragma("synchronous", "off")
        target.pragma("journal_mode", "off")
        target.pragma("cache_size", -CACHE)
        with target.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(STEP)
    finally:
        target.close()


def snapshot(path: Path) -> apsw.Connection:
    """In a read transaction. apsw.CantOpenError if it is not there, apsw.NotADBError if it is empty or no database."""
    connection = read_only(path)
    try:
        connection.set_busy_timeout(PATIENCE)
        if path.stat().st_size == 0:
            raise apsw.NotADBError("it is empty")  # noqa: TRY301 - the handler only closes the file
        connection.pragma("cache_size", -CACHE)
        connection.execute("BEGIN")
        connection.pragma("user_version")  # the first read is what begins it
    except FileNotFoundError:
        connection.close()
        raise apsw.CantOpenError(f"{path} is gone") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _add(taker: Taker, name: str, source: apsw.Connection, copied: Copied) -> None:
    kind, version = kind_of(name), int(source.pragma("user_version"))
    if kind and version > known_formats()[kind]:
        raise UserError(
            f"{name} was written by a newer Milonga (format {version}; this one knows {known_formats()[kind]}). "
            "Make the backup with that one. Nothing was changed."
        )
    try:
        taker.add(name, source)
    except UNREADABLE as error:
        copied.left_out[name] = str(error)
    else:
        copied.left_out.pop(name, None)
        if kind:
            copied.formats[kind] = max(version, copied.formats.get(kind, 0))


def _segment_name(first: int) -> str:
    return f"{LOG}/{path_of(Path(), first).name}"


def _copy_settled(data: Path, taker: Taker, copied: Copied) -> None:
    """Until none is left: more may be sealed while we copy."""
    folder, found = data / LOG, True
    while found:
        found = False
        for first in list_segments(folder)[:-1]:
            name = _segment_name(first)
            if name in taker.names() or name in copied.left_out:
                continue
            try:
                settled = open_settled(path_of(folder, first))
                if settled is None:
                    continue
                settled.close()
                source = snapshot(path_of(folder, first))
            except apsw.CantOpenError:
                if not path_of(folder, first).exists():
                    _drop_before(first, taker)
                continue
            except UNREADABLE:
                continue  # the cut tells
            try:
                _add(taker, name, source, copied)
            finally:
                source.close()
            found = True


def _drop_before(first: int, taker: Taker) -> None:
    """Retention took this segment before it could be copied, and before it all older ones: a log has no holes."""
    for earlier in _copied_segments(taker):
        if earlier < first:
            taker.drop(_segment_name(earlier))


def _copied_segments(taker: Taker) -> list[int]:
    """Their first offsets."""
    return [int(name[4:20]) for name in taker.names() if name.startswith(f"{LOG}/") and name[4:20].isdigit()]


def _copy_outcomes(data: Path, taker: Taker, copied: Copied) -> None:
    """All but the newest, which alone is written to."""
    for number in outcome_files.segments(data / OUTCOMES)[:-1]:
        name = f"{OUTCOMES}/{number:08}.db"
        try:
            source = snapshot(data / name)
        except (apsw.CantOpenError, *UNREADABLE):
            continue  # it was dropped, or the cut tells
        try:
            _add(taker, name, source, copied)
        finally:
            source.close()


@contextmanager
def _cut(data: Path, taker: Taker, copied: Copied) -> Iterator[list[tuple[str, apsw.Connection]]]:
    """Everything that the taker does not have yet, in read transactions that belong together."""
    found: list[tuple[str, apsw.Connection]] = []
    with ExitStack() as stack:

        def hold(name: str) -> None:
            if name in taker.names() or name in copied.left_out:
                return
            try:
                connection = snapshot(data / name)
            except apsw.CantOpenError as error:
                if (data / name).exists():
                    copied.left_out[name] = str(error)
            except UNREADABLE as error:
                copied.left_out[name] = str(error)
            else:
                stack.callback(connection.close)
                found.append((name, connection))

        hold(f"{LOG}/{COUNTERS}")
        with _nothing_committed(data / DELIVERY):
            hold(DELIVERY)
            for number in outcome_files.segments(data / OUTCOMES):
                hold(f"{OUTCOMES}/{number:08}.db")
        hold(f"{OUTCOMES}/{COUNTERS}")
        firsts = list_segments(data / LOG)
        for first in firsts:
            hold(_segment_name(first))
        hold(database.NAME)
        _note_extent(firsts, taker, found, copied)
        yield found


def _note_extent(firsts: list[int], taker: Taker, found: list[tuple[str, apsw.Connection]], copied: Copied) -> None:
    """Which offsets the copy will hold."""
    connections = dict(found)
    firsts = sorted({*firsts, *_copied_segments(taker)})
    if firsts:
        copied.first, copied.last = firsts[0], firsts[-1] - 1
        last = connections.get(_segment_name(firsts[-1]))
        if last is not None:
            with suppress(apsw.Error):
                copied.last = newest(last, firsts[-1])


@contextmanager
def _nothing_committed(path: Path) -> Iterator[None]:
    """
    While this lasts, a few milliseconds, its writer waits. That is all: nothing is written here. UserError if the file
    is locked for long.
    """
    with ExitStack() as stack:
        try:
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            stack.callback(connection.close)
            leave_wal(connection)
            connection.set_busy_timeout(PATIENCE)
            connection.execute("BEGIN IMMEDIATE")
            stack.callback(connection.execute, "ROLLBACK")
        except (apsw.CantOpenError, *DAMAGED):
            pass  # delivery never ran, or the file will be set aside when it does
        except apsw.BusyError as error:
            raise UserError(
                f"{path} has been locked for {PATIENCE // 1000} seconds: the disk is too slow, or another program "
                "holds it. Try again."
            ) from error
        except apsw.ReadOnlyError as error:
            raise UserError(
                f"{path} cannot be locked by this user: run the backup as the user of the server."
            ) from error
        yield
