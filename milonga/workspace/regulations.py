"""
Regulations as rows: any process asks, the two halves of a running server carry them out and say how far they are. The
collector begins one and ends it; in between delivery erases what it holds, then the log what it does.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from milonga.privacy.digest import digest
from milonga.privacy.regulation import LONGEST_USER, MOST_USERS, Deletion, Kind, Regulation, Status
from milonga.privacy.subject import Named
from milonga.workspace.audit import PIPELINE, added, record
from milonga.workspace.database import NAME, Database, fetch
from milonga.workspace.deleted import remember_deleted
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.migrate import copies_of
from milonga.workspace.rows import source_named

MOST_SUPPRESSED: Final = 1_000_000  #: 16 bytes each in the collector's memory
AT_ONCE: Final = 10  #: deletions under way at a time, so that the ids in memory are at most 50,000
LONGEST_TROUBLE: Final = 500  #: characters

_COLUMNS: Final = (
    "id, kind, source, users, created_at, status, upto, delivery_at, log_at, ended_at, counts, files, trouble"
)


class Regulations:
    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database, self._now = database, now

    def create(self, kind: Kind, users: Collection[str], source: str | None = None, *, by: str = "cli") -> Regulation:
        """
        In force in a running server within 5 seconds. UserError for an empty or overlong list, or an id that no event
        can have.

        source  name of the only source it concerns; None: all
        """
        wanted = dict.fromkeys(users)
        _check(wanted)
        with self._database.write() as db:
            number = None if source is None else source_named(db, source, self._now()).id
            db.execute(
                "INSERT INTO regulation (kind, source, users, created_at, status) VALUES (?, ?, ?, ?, ?)",
                (kind.value, number, len(wanted), self._now(), Status.initialized.value),
            )
            id_ = db.last_insert_rowid()
            if kind.suppresses:
                self._suppress(db, id_, wanted, number)
            if kind is Kind.unsuppress:
                self._unsuppress(db, wanted, number)
            if kind.deletes:
                db.executemany("INSERT INTO doomed_user VALUES (?, ?)", [(id_, user) for user in sorted(wanted)])
            told = added(kind=kind.value, users=len(wanted), source=source)  # who they are is nobody's business
            record(db, self._now(), by, "regulation.created", str(id_), told)
            return _read(db, id_)

    def regulation(self, id_: int) -> Regulation:
        """UserError if there is none."""
        with self._database.read() as db:
            return _read(db, id_)

    def all(self, limit: int = 100, before: int | None = None) -> tuple[Regulation, ...]:
        """Newest first. before  only those under this id: what follows the last one seen"""
        with self._database.read() as db:
            return _found(db, "WHERE id < ? ORDER BY id DESC LIMIT ?", 2**62 if before is None else before, limit)

    def suppressed(self, user: str) -> dict[int | None, int]:
        """Source -> regulation that suppresses this user there; None: at all sources. Empty if none does."""
        with self._database.read() as db:
            rows = fetch(db, "SELECT source, regulation FROM suppression WHERE digest = ?", digest(_salt(db), user))
        return {source or None: regulation for source, regulation in rows}

    def suppressed_by_source(self) -> dict[int | None, int]:
        """Source -> how many users are suppressed there; None: at all sources."""
        with self._database.read() as db:
            rows = fetch(db, "SELECT source, count(*) FROM suppression GROUP BY source ORDER BY source")
        return {source or None: users for source, users in rows}

    def count_suppressed(self) -> int:
        with self._database.read() as db:
            return int(fetch(db, "SELECT count(*) FROM suppression")[0][0])

    # What a running server reads

    @property
    def salt(self) -> bytes:
        with self._database.read() as db:
            return _salt(db)

    def version(self) -> int:
        """Another one as soon as somebody was suppressed, or is no more."""
        with self._database.read() as db:
            return int(fetch(db, "SELECT version FROM privacy")[0][0])

    def open(self) -> tuple[Regulation, ...]:
        """Not yet ended, oldest first; of deletions no more than AT_ONCE."""
        with self._database.read() as db:
            found = _found(db, "WHERE ended_at IS NULL ORDER BY id")
        deleting = [one for one in found if one.kind.deletes][:AT_ONCE]
        return tuple(one for one in found if not one.kind.deletes or one in deleting)

    def deletions(self) -> tuple[Deletion, ...]:
        """What is to be erased, or is being erased: AT_ONCE at most. Those whose ids are gone have been."""
        with self._database.read() as db:
            found = _found(db, "WHERE ended_at IS NULL AND log_at IS NULL ORDER BY id")
            return tuple(
                Deletion(
                    one.id,
                    one.source,
                    frozenset(row[0] for row in fetch(db, "SELECT user FROM doomed_user WHERE regulation = ?", one.id)),
                    one.upto,
                )
                for one in [one for one in found if one.kind.deletes][:AT_ONCE]
            )

    # How far they are

    def begin(self, ids: Iterable[int], upto: Mapping[int, int]) -> None:
        """What the log holds up to there is to go."""
        self._set(ids, "status = ?, upto = ?", Status.running.value, msgspec.json.encode(upto).decode())

    def delivery_done(self, ids: Iterable[int], counts: Mapping[str, int]) -> None:
        self._set(ids, "delivery_at = ?, trouble = ''", self._now(), counts=counts)

    def log_done(self, ids: Collection[int], counts: Mapping[str, int], left: Iterable[str]) -> None:
        """Nothing needs the ids any more: their digests stay, they go, and with them what still says one in words."""
        with self._database.read() as db:
            of = "SELECT user FROM doomed_user WHERE regulation = ?"
            users_of = {id_: {row[0] for row in fetch(db, of, id_)} for id_ in ids}
        users = set[str]().union(*users_of.values())
        for copy in copies_of(Path(self._database.db.filename).with_name(NAME)):
            _scrub_copy(copy, users)
        with self._database.write() as db:
            _forget_words(db, users)
            for id_ in ids:
                remember_deleted(db, id_, _salt(db), users_of[id_])
                db.execute("DELETE FROM doomed_user WHERE regulation = ?", (id_,))
                db.execute("UPDATE regulation SET files = ? WHERE id = ?", (_json(sorted(left)), id_))
            self._set_in(db, ids, "log_at = ?", self._now(), counts=counts)

    def finish(self, ids: Iterable[int]) -> None:
        """All is done, but for files that were left."""
        with self._database.write() as db:
            db.execute(
                "UPDATE regulation SET ended_at = ?1, trouble = '', status = CASE files WHEN '[]' THEN ?2 ELSE ?3 END"
                " WHERE ended_at IS NULL AND id IN (SELECT value FROM json_each(?4))",
                (self._now(), Status.finished.value, Status.partial_success.value, _json(list(ids))),
            )

    def troubled(self, ids: Iterable[int], why: str) -> None:
        """It does not get on; it is tried again."""
        self._set(ids, "trouble = ?", why[:LONGEST_TROUBLE])

    def _set(self, ids: Iterable[int], what: str, *values: Any, counts: Mapping[str, int] | None = None) -> None:
        with self._database.write() as db:
            self._set_in(db, ids, what, *values, counts=counts)

    @staticmethod
    def _set_in(
        db: apsw.Connection, ids: Iterable[int], what: str, *values: Any, counts: Mapping[str, int] | None = None
    ) -> None:
        for id_ in ids:
            db.execute(f"UPDATE regulation SET {what} WHERE id = ? AND ended_at IS NULL", (*values, id_))  # noqa: S608
            if counts:
                db.execute("UPDATE regulation SET counts = json_patch(counts, ?) WHERE id = ?", (_json(counts), id_))

    # Suppression

    def _suppress(self, db: apsw.Connection, id_: int, users: Iterable[str], source: int | None) -> None:
        salt = _salt(db)
        rows = [(source or 0, digest(salt, user), id_) for user in users]
        db.executemany("INSERT OR IGNORE INTO suppression VALUES (?, ?, ?)", rows)
        if int(fetch(db, "SELECT count(*) FROM suppression")[0][0]) > MOST_SUPPRESSED:
            raise UserError(f"At most {MOST_SUPPRESSED:,} users can be suppressed. Nothing was changed.")
        db.execute("UPDATE privacy SET version = version + 1")

    @staticmethod
    def _unsuppress(db: apsw.Connection, users: Iterable[str], source: int | None) -> None:
        """For all sources: whichever it was for."""
        salt = _salt(db)
        where = "digest = ?" if source is None else "digest = ? AND source = ?"
        rows = [(digest(salt, user),) if source is None else (digest(salt, user), source) for user in users]
        db.executemany(f"DELETE FROM suppression WHERE {where}", rows)  # noqa: S608
        db.execute("UPDATE privacy SET version = version + 1")

    def scrub(self) -> None:
        """
        Have nothing left in the file and its write-ahead log of what was deleted. apsw.BusyError if somebody reads just
        now: try again.
        """
        db = self._database.db
        db.pragma("secure_delete", True)
        db.execute("VACUUM")
        busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
        if busy:
            raise apsw.BusyError("workspace.db is being read")


def suppressions(path: Path, source: int) -> Iterator[bytes]:
    """
    Digests of one source, ascending; 0: of those for all sources. With a connection of its own, for any thread.

    path  of workspace.db
    """
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        db.set_busy_timeout(5_000)
        for (one,) in db.execute("SELECT digest FROM suppression WHERE source = ? ORDER BY digest", (source,)):
            yield one
    finally:
        db.close()


def suppressing_sources(path: Path) -> list[int]:
    """Of which there are suppressions."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        db.set_busy_timeout(5_000)
        return [row[0] for row in db.execute("SELECT DISTINCT source FROM suppression")]
    finally:
        db.close()


def _check(users: Mapping[str, None]) -> None:
    if not users:
        raise UserError("It names no user. Nothing was changed.")
    if len(users) > MOST_USERS:
        raise UserError(f"One regulation has at most {MOST_USERS:,} users, not {len(users):,}. Nothing was changed.")
    for user in users:
        if not user or len(user) > LONGEST_USER or not _is_text(user):
            raise UserError(f"{user[:50]!r} cannot be a user's id. Nothing was changed.")


def _is_text(user: str) -> bool:
    """Not half a surrogate pair, which bytes of another encoding become on a command line."""
    try:
        user.encode()
    except UnicodeEncodeError:
        return False
    return True


def _salt(db: apsw.Connection) -> bytes:
    return bytes(fetch(db, "SELECT salt FROM privacy")[0][0])


def _read(db: apsw.Connection, id_: int) -> Regulation:
    found = _found(db, "WHERE id = ?", id_)
    if not found:
        raise NotThere(f"There is no regulation {id_}. See `milonga regulations list`.")
    return found[0]


def _found(db: apsw.Connection, where: str, *values: int) -> tuple[Regulation, ...]:
    rows = fetch(db, f"SELECT {_COLUMNS} FROM regulation {where}", *values)  # noqa: S608
    return tuple(_regulation(*row) for row in rows)


def _regulation(id_: int, kind: str, source: int | None, users: int, created_at: int, *rest: Any) -> Regulation:
    status, upto, delivery_at, log_at, ended_at, counts, files, trouble = rest
    return Regulation(
        id=id_,
        kind=Kind(kind),
        source=source,
        users=users,
        created_at=created_at,
        status=Status(status),
        upto=None if upto is None else msgspec.json.decode(upto, type=dict[int, int]),
        delivery_at=delivery_at,
        log_at=log_at,
        ended_at=ended_at,
        counts=msgspec.json.decode(counts, type=dict[str, int]),
        left=tuple(msgspec.json.decode(files, type=list[str])),
        trouble=trouble,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _forget_words(db: apsw.Connection, users: Collection[str]) -> None:
    """Reasons of pauses repeat what a receiver said, and results of commands what was looked at."""
    named = Named(users)
    for id_, reason in fetch(db, "SELECT id, reason FROM state_change WHERE by = 'settings'"):
        if named(reason.encode()):
            db.execute("UPDATE state_change SET reason = ? WHERE id = ?", (FORGOTTEN, id_))
    for id_, reason in fetch(db, _REASONS, *PIPELINE) if _has_audit(db) else ():
        if named(reason.encode()):
            db.execute(_FORGET_REASON, (FORGOTTEN, id_))
    for id_, args, result in fetch(db, "SELECT id, args, result FROM command WHERE ended_at IS NOT NULL"):
        if named(args.encode()) or named((result or "").encode()):
            db.execute("DELETE FROM command WHERE id = ?", (id_,))


_REASONS: Final = (
    "SELECT id, changes ->> '$.reason[1]' FROM audit WHERE by IN (?, ?) AND changes ->> '$.reason[1]' <> ''"
)
_FORGET_REASON: Final = "UPDATE audit SET changes = json_set(changes, '$.reason[1]', ?) WHERE id = ?"


def _has_audit(db: apsw.Connection) -> bool:
    """Copies from before migrations may not."""
    return bool(fetch(db, "SELECT 1 FROM sqlite_schema WHERE name = 'audit'"))


FORGOTTEN: Final = "It was refused. The receiver's words named a user who was deleted since."


def _scrub_copy(path: Path, users: Collection[str]) -> None:
    """A copy from before a migration, made while a deletion was under way, or before."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        db.set_busy_timeout(5_000)
        with db:
            before = db.total_changes()
            there = {row[0] for row in db.execute("SELECT name FROM sqlite_schema")}
            if "doomed_user" in there:
                db.executemany("DELETE FROM doomed_user WHERE user = ?", [(user,) for user in users])
            if {"state_change", "command"} <= there:
                _forget_words(db, users)
            changed = db.total_changes() - before
        if changed:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        db.close()
