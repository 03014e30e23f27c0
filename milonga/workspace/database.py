"""The file workspace.db: opening it, short write transactions of several processes, and noticing their changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import apsw

from milonga.workspace.errors import UserError
from milonga.workspace.files import make_data_directory, make_private_file
from milonga.workspace.migrate import migrate, switch_to_wal

NAME = "workspace.db"
MEND = (
    "Put back a copy while no server runs: every backup has one. "
    'Without one, save what can be read: sqlite3 OLD ".recover" | sqlite3 workspace.db.'
)
"""What to do about a damaged one. docs/operate.md has the steps."""
PATIENCE = 5_000  #: milliseconds to wait for another process's write
UNFINISHED = b"Milonga: a restore into this directory has not been finished.\n".ljust(4_096)
"""Stands in place of the file while a backup is restored, so that nobody begins with what is not complete."""

Value: TypeAlias = str | int | bytes | None

Token: TypeAlias = tuple[object, ...]
"""Equal as long as nothing changed."""


class Database:
    """One connection. Not to be carried over a fork: each process opens its own."""

    def __init__(self, data: Path) -> None:
        """Creates and migrates as needed. UserError if that cannot be done."""
        make_data_directory(data)
        path = data / NAME
        try:
            make_private_file(path)
            self.db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            self.db.set_busy_timeout(PATIENCE)
            switch_to_wal(self.db)
            self.db.execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
            migrate(self.db)
        except OSError as error:
            raise UserError(f"{path} cannot be opened: {error.strerror}.") from error
        except apsw.Error as error:
            raise _in_words(error, path) from error
        self._path = path
        self._own_writes = 0

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """One IMMEDIATE transaction: all of it is durable afterwards, or nothing was changed."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if not self.db.get_autocommit():
                    self.db.execute("ROLLBACK")
                raise
        except apsw.Error as error:
            raise _in_words(error, self._path) from error
        self._own_writes += 1

    @contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """One snapshot for several queries. Keep it short. Within `write` it reads what was just written."""
        if not self.db.get_autocommit():
            yield self.db
            return
        try:
            self.db.execute("BEGIN")
            try:
                yield self.db
            finally:
                self.db.execute("COMMIT")
        except apsw.Error as error:
            raise _in_words(error, self._path) from error

    def token(self) -> Token:
        """A few microseconds. SQLite's data_version tells of other connections' commits, our counter of our own."""
        return (self.db.execute("PRAGMA data_version").get, self._own_writes)

    def close(self) -> None:
        self.db.close()


def is_unfinished(path: Path) -> bool:
    """See UNFINISHED."""
    try:
        with path.open("rb") as file:
            return file.read(len(UNFINISHED)) == UNFINISHED
    except OSError:
        return False


def _in_words(error: apsw.Error, path: Path) -> UserError:
    match error:
        case apsw.NotADBError() if is_unfinished(path):
            return UserError(
                f"A backup is being restored into {path.parent}, or that was cut short. Wait for it, or restore it "
                "again into the same directory: that removes what there is of it."
            )
        case apsw.BusyError():
            return UserError(
                f"{path} has been locked by another process for over {PATIENCE // 1000} seconds. Try again."
            )
        case apsw.FullError() | apsw.IOError():
            return UserError(f"{path} cannot be written: {error}. Is the disk full? Nothing was changed.")
        case apsw.NotADBError() | apsw.CorruptError():
            return UserError(
                f"{path} is damaged or no Milonga workspace: {error}. {MEND} Nothing else was touched: "
                "events that were taken in stay where they are, and go out once the workspace is back."
            )
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError():
            return UserError(f"{path} cannot be written by this user: {error}.")
        case _:
            return UserError(f"{path}: {error}.")


def fetch(db: apsw.Connection, sql: str, *values: Value) -> list[tuple[Any, ...]]:
    """All rows at once, so that no query is left open."""
    return db.execute(sql, values).fetchall()
