"""
Bringing workspace.db forward. Files migrations/NNNN-what.sql run in order, each once and in its own transaction. Before
the first of them the file is copied to `workspace.db.before-N`, N being the first version that it did not have yet.
"""

import os
import time
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw
from msgspec import Struct

from milonga.workspace.errors import UserError

READ_IMMUTABLE: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
COPIES: Final = 3  #: copies from before migrations that are kept


class Migration(Struct, frozen=True):
    """
    version  1, 2, ...: `PRAGMA user_version` once it has run
    name     the file's, for errors
    sql      statements separated by semicolons
    """

    version: int
    name: str
    sql: str


@cache
def migrations() -> tuple[Migration, ...]:
    """All there are, in order, without a gap (a test says so). Read once: a workspace is opened for each request."""
    folder = files("milonga.workspace") / "migrations"
    found = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return tuple(
        Migration(int(item.name.split("-", 1)[0]), item.name, item.read_text(encoding="utf-8")) for item in found
    )


def version_of(db: apsw.Connection) -> int:
    """0 for a database that is still empty."""
    return int(db.execute("PRAGMA user_version").get)


def migrate(db: apsw.Connection, steps: tuple[Migration, ...] | None = None, *, keep: bool = True) -> None:
    """
    Run what is missing. Several processes may do so at once: each step is decided again under the write lock.

    keep  a copy of how it was

    Raises UserError for a database made by a newer Milonga; it is left as it is.
    """
    steps = migrations() if steps is None else steps
    newest = steps[-1].version
    if (there := version_of(db)) > newest:
        raise UserError(
            f"{db.filename} was written by a newer Milonga (version {there} of its tables; this one knows {newest}). "
            "Nothing was changed. Start the newer Milonga, or restore a copy of the data directory from before."
        )
    if keep and 0 < there < newest:
        keep_copy(db)
    for step in steps:
        if version_of(db) >= step.version:
            continue
        db.execute("BEGIN IMMEDIATE")
        try:
            if version_of(db) < step.version:
                db.execute(step.sql)
                db.execute(f"PRAGMA user_version = {step.version:d}")
            db.execute("COMMIT")
        except BaseException:
            if not db.get_autocommit():
                db.execute("ROLLBACK")
            raise


def keep_copy(db: apsw.Connection) -> None:
    """
    `<file>.before-N`, complete and durable; older copies beyond COPIES go. UserError if it cannot be written: then
    nothing was migrated.
    """
    path = Path(db.filename)
    draft = path.with_name(f"{path.name}.before-{os.getpid()}-unfinished")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with closing(apsw.Connection(str(draft), flags=apsw.SQLITE_OPEN_READWRITE)) as copy:
            copy.pragma("synchronous", "off")
            copy.pragma("journal_mode", "off")
            with copy.backup("main", db, "main") as backup:
                backup.step()  # all of it in one read transaction
        _sync(draft)
        with closing(apsw.Connection(f"file:{quote(str(draft))}?immutable=1", flags=READ_IMMUTABLE)) as copy:
            begins = version_of(copy) + 1  # another process may have migrated meanwhile: then so is its copy
        draft.rename(path.with_name(f"{path.name}.before-{begins}"))
        _sync(path.parent)
    except (OSError, apsw.Error) as error:
        draft.unlink(missing_ok=True)
        raise UserError(
            f"{path} must be brought forward for this Milonga, and a copy of it cannot be written first: {error}. Free "
            "some space, or let this user write there. Nothing was changed."
        ) from error
    for old in copies_of(path)[:-COPIES]:
        old.unlink(missing_ok=True)


def copies_of(path: Path) -> list[Path]:
    """Copies from before migrations, the oldest version first."""
    found = [one for one in path.parent.glob(f"{path.name}.before-*") if one.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda one: int(one.name.rpartition("-")[2]))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def switch_to_wal(db: apsw.Connection, patience: float = 5.0) -> None:
    """Only the first opening changes the mode; then SQLite wants the file alone and does not wait for it by itself."""
    deadline = time.monotonic() + patience
    while db.execute("PRAGMA journal_mode").get != "wal":
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchall()
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
