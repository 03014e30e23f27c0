"""Bringing workspace.db forward. Files migrations/NNNN-what.sql run in order, each once and in its own transaction."""

import time
from importlib.resources import files

import apsw
from msgspec import Struct

from milonga.workspace.errors import UserError


class Migration(Struct, frozen=True):
    """
    version  1, 2, ...: `PRAGMA user_version` once it has run
    name     the file's, for errors
    sql      statements separated by semicolons
    """

    version: int
    name: str
    sql: str


def migrations() -> tuple[Migration, ...]:
    """All there are, in order, without a gap (a test says so)."""
    folder = files("milonga.workspace") / "migrations"
    found = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return tuple(
        Migration(int(item.name.split("-", 1)[0]), item.name, item.read_text(encoding="utf-8")) for item in found
    )


def version_of(db: apsw.Connection) -> int:
    """0 for a database that is still empty."""
    return int(db.execute("PRAGMA user_version").get)


def migrate(db: apsw.Connection, steps: tuple[Migration, ...] | None = None) -> None:
    """
    Run what is missing. Several processes may do so at once: each step is decided again under the write lock.

    Raises UserError for a database made by a newer Milonga; it is left as it is.
    """
    steps = migrations() if steps is None else steps
    newest = steps[-1].version
    if (there := version_of(db)) > newest:
        raise UserError(
            f"{db.filename} was written by a newer Milonga (version {there} of its tables; this one knows {newest}). "
            "Nothing was changed. Start the newer Milonga, or restore a copy of the data directory from before."
        )
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
