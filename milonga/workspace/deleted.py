"""
Who was suppressed and deleted, for a backup that is restored: its workspace is brought up to a later state of the same
one, and deletions that have ended begin again for those whom the backup brings back. Of these only digests are known
(milonga.privacy.digest); the restored events name them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from milonga.privacy.digest import digest
from milonga.privacy.regulation import MOST_USERS, Kind, Status
from milonga.workspace.audit import added, record
from milonga.workspace.database import fetch
from milonga.workspace.errors import UserError
from milonga.workspace.migrate import migrations, version_of

REGULATIONS: Final = 5  #: the migration that made the tables; before it nobody was suppressed or deleted
DELETED: Final = 8  #: the one that made deleted_user
COLUMNS: Final = (
    "id, kind, source, users, created_at, status, upto, delivery_at, log_at, ended_at, counts, files, trouble"
)

Row = tuple[Any, ...]


class Later(Struct, frozen=True):
    """
    What a workspace says of users, with the rows as they are.

    regulations  COLUMNS
    doomed       regulation, user: of deletions that have not ended
    deleted      regulation, digest: of those that have
    suppressed   source, digest, regulation
    """

    salt: bytes
    regulations: tuple[Row, ...] = ()
    doomed: tuple[Row, ...] = ()
    deleted: tuple[Row, ...] = ()
    suppressed: tuple[Row, ...] = ()


def read_later(db: apsw.Connection) -> Later:
    """UserError for the workspace of a newer Milonga."""
    version, newest = version_of(db), migrations()[-1].version
    if version > newest:
        raise UserError(
            f"{db.filename} was written by a newer Milonga (version {version} of its tables; this one knows {newest}). "
            "Restore with that one. Nothing was changed."
        )
    if version < REGULATIONS:
        return Later(b"")
    return Later(
        bytes(fetch(db, "SELECT salt FROM privacy")[0][0]),
        tuple(fetch(db, f"SELECT {COLUMNS} FROM regulation ORDER BY id")),  # noqa: S608
        tuple(fetch(db, "SELECT regulation, user FROM doomed_user")),
        tuple(fetch(db, "SELECT regulation, digest FROM deleted_user")) if version >= DELETED else (),
        tuple(fetch(db, "SELECT source, digest, regulation FROM suppression")),
    )


def take_over(db: apsw.Connection, later: Later, last: int) -> int:
    """
    Make the regulations, and who is suppressed, what they are in the later state; how many regulations came after this
    workspace was backed up. UserError if it is no later state of this workspace. Those that concern sources alone that
    are not here stay out.

    last  offset of the log: all that there is was accepted before those regulations
    """
    there = {row[0]: row for row in fetch(db, f"SELECT {COLUMNS} FROM regulation")}  # noqa: S608
    later_ones = {row[0]: row for row in later.regulations}
    if bytes(fetch(db, "SELECT salt FROM privacy")[0][0]) != later.salt and (there or later_ones):
        raise UserError("What --regulations-of names belongs to another Milonga: it is no later state of this backup.")
    for id_, row in there.items():
        if _identity(row) != _identity(later_ones.get(id_, ())):
            raise UserError(
                f"What --regulations-of names does not know regulation {id_} of the backup: it is no later state of it."
            )
    sources = {row[0] for row in fetch(db, "SELECT id FROM source")}
    new = [row for id_, row in later_ones.items() if id_ not in there and (row[2] is None or row[2] in sources)]
    known = {row[0] for row in new}
    for row in new:
        upto = None if row[6] is None else _json({0: last})
        db.execute(f"INSERT INTO regulation ({COLUMNS}) VALUES ({_marks(row)})", (*row[:6], upto, *row[7:]))  # noqa: S608
    db.executemany("INSERT INTO doomed_user VALUES (?, ?)", [row for row in later.doomed if row[0] in known])
    db.executemany("INSERT INTO deleted_user VALUES (?, ?)", [row for row in later.deleted if row[0] in known])
    db.execute("DELETE FROM suppression")
    kept = [row for row in later.suppressed if row[0] == 0 or row[0] in sources]
    db.executemany("INSERT INTO suppression VALUES (?, ?, ?)", kept)
    db.execute("UPDATE privacy SET version = version + 1")
    return len(new)


def _identity(row: Row) -> Row:
    """Kind, source, users, time. What else a regulation has changes with its course."""
    return row[1:5]


class Deleted:
    """Who was deleted, recognised by digest. False if nobody was."""

    def __init__(self, db: apsw.Connection) -> None:
        self._salt = bytes(fetch(db, "SELECT salt FROM privacy")[0][0])
        self._by_digest: dict[bytes, list[tuple[int | None, int]]] = {}
        query = "SELECT digest, source, upto FROM deleted_user JOIN regulation ON id = regulation"
        for one, source, upto in fetch(db, query):
            last = msgspec.json.decode(upto or "{}", type=dict[int, int]).get(0, 0)
            self._by_digest.setdefault(bytes(one), []).append((source, last))

    def __bool__(self) -> bool:
        return bool(self._by_digest)

    def of(self, user: str) -> list[tuple[int | None, int]]:
        """For each deletion of this user: the only source, or None for all; and the last offset that it concerned."""
        return self._by_digest.get(digest(self._salt, user), [])


def begin_anew(db: apsw.Connection) -> None:
    """Deletions that were under way: what delivery had done of them may be in its own later file alone."""
    db.execute("UPDATE regulation SET delivery_at = NULL WHERE ended_at IS NULL AND log_at IS NULL")


def delete_again(db: apsw.Connection, found: Mapping[tuple[int | None, int], Collection[str]], now: int) -> None:
    """
    Regulations, begun already, that a server carries out from its start on.

    found  source and last offset, as of `Deleted.of` -> users who are there
    now    unix milliseconds
    """
    for (source, upto), users in found.items():
        for some in _parts(sorted(users)):
            db.execute(
                "INSERT INTO regulation (kind, source, users, created_at, status, upto) VALUES (?, ?, ?, ?, ?, ?)",
                (Kind.delete_internal.value, source, len(some), now, Status.running.value, _json({0: upto})),
            )
            id_ = db.last_insert_rowid()
            told = added(kind=Kind.delete_internal.value, users=len(some), reason="restored")
            record(db, now, "cli", "regulation.created", str(id_), told)
            db.executemany("INSERT INTO doomed_user VALUES (?, ?)", [(id_, user) for user in some])


def remember_deleted(db: apsw.Connection, regulation: int, salt: bytes, users: Iterable[str]) -> None:
    """The ids go, digests stay."""
    rows = [(regulation, digest(salt, user)) for user in users]
    db.executemany("INSERT OR IGNORE INTO deleted_user VALUES (?, ?)", rows)


def _parts(users: list[str]) -> Iterator[list[str]]:
    for begin in range(0, len(users), MOST_USERS):
        yield users[begin : begin + MOST_USERS]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _marks(row: Row) -> str:
    return ", ".join("?" * len(row))
