"""
Write keys: made, exchanged with an overlap, ended, removed. A key that has ended stays listed, so that whoever still
sends with it can be told of, until it is removed or its place is wanted.
"""

import secrets
import string
from collections.abc import Callable, Iterable
from typing import Final

import apsw
from msgspec import Struct

from milonga.workspace.audit import Changes, added, key_shown, record
from milonga.workspace.database import Database, fetch
from milonga.workspace.errors import Clash, NotThere, UserError
from milonga.workspace.model import LONGEST_KEY, KeyEnd, is_write_key
from milonga.workspace.rows import source_named

KEY_LENGTH: Final = 32
MOST_KEYS: Final = 20  #: write keys of one source
DAY: Final = 86_400_000  #: milliseconds
OVERLAP: Final = 14 * DAY  #: for which a key that is exchanged stays in force unless told otherwise
LONGEST_OVERLAP: Final = 366 * DAY
MINUTE: Final = 60_000  #: milliseconds: how exactly it is known when a key was used
IN_USE: Final = DAY  #: milliseconds since its last use for which a key counts as still in use
SOON: Final = (
    3 * DAY
)  #: milliseconds before its end from which a key in use needs somebody; until then all goes as planned


class WriteKey(Struct, frozen=True, kw_only=True):
    """
    Times are unix milliseconds.

    created_at  None: before that was remembered
    ends_at     from then on it lets nobody in; None: it has no end
    used_at     when a request last named it, to the minute; None: not since that is counted
    """

    key: str
    created_at: int | None = None
    ends_at: int | None = None
    used_at: int | None = None

    def has_ended(self, now: int) -> bool:
        return self.ends_at is not None and self.ends_at <= now

    def ends_in_use(self, now: int) -> bool:
        """Whether senders will be refused, because they use it although it has an end."""
        return self.ends_at is not None and self.used_at is not None and now - self.used_at < IN_USE

    def ends_soon_in_use(self, now: int) -> bool:
        """Or has ended: whether somebody has to see to it now."""
        return self.ends_in_use(now) and self.ends_at is not None and self.ends_at - now <= SOON


class Rotated(Struct, frozen=True):
    """
    key   the new one
    ends  of those that it takes the place of
    """

    key: str
    ends: tuple[KeyEnd, ...]


class KeyRing:
    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database, self._now = database, now

    def of(self, source: str) -> tuple[WriteKey, ...]:
        """Oldest first, those that have ended too. UserError if there is no such source."""
        with self._database.read() as db:
            return _read(db, source_named(db, source, self._now()).id)

    def secret(self) -> tuple[str, ...]:
        """Of all sources, those that have ended too; but none that is the name of a source, for that is no secret."""
        with self._database.read() as db:
            found = fetch(db, "SELECT key FROM write_key WHERE key NOT IN (SELECT name FROM source)")
        return tuple(key for (key,) in found)

    def add(self, source: str, write_key: str | None = None, *, by: str = "cli") -> str:
        """One more. Random unless given."""
        key = new_key(write_key)
        with self._database.write() as db:
            self._insert(db, source, key)
            self._record(db, by, "source.key_added", source, added(writeKey=key_shown(key)))
        return key

    def rotate(
        self,
        source: str,
        write_key: str | None = None,
        *,
        old: str | None = None,
        overlap: int = OVERLAP,
        by: str = "cli",
    ) -> Rotated:
        """
        A new key, and an end to the others that have none.

        write_key  the new one; random unless given
        old        to this one alone
        overlap    milliseconds for which what is exchanged stays in force; 0: it ends now
        """
        if not 0 <= overlap <= LONGEST_OVERLAP:
            raise UserError(f"An overlap has 0 to {LONGEST_OVERLAP // DAY} days.")
        key = new_key(write_key)
        with self._database.write() as db:
            now = self._now()
            before = _read(db, source_named(db, source, now).id)
            if old is None:
                exchanged = [one.key for one in before if one.ends_at is None]
            else:
                exchanged = [_one(before, source, old).key]
            self._insert(db, source, key)
            ends = tuple(KeyEnd(one, now + overlap) for one in exchanged)
            for end in ends:
                _set_end(db, end.key, end.at)
            told = added(writeKey=key_shown(key), exchanged=[key_shown(one) for one in exchanged], endsAt=now + overlap)
            self._record(db, by, "source.keys_rotated", source, told)
        return Rotated(key, ends)

    def end(self, source: str, write_key: str, after: int | None, *, by: str = "cli") -> WriteKey:
        """
        Give a key an end, another end, or none.

        after  milliseconds from now; None: it has no end, also if it had ended
        """
        if after is not None and not 0 <= after <= LONGEST_OVERLAP:
            raise UserError(f"A write key ends within 0 to {LONGEST_OVERLAP // DAY} days, or never.")
        with self._database.write() as db:
            now = self._now()
            id_ = source_named(db, source, now).id
            found = _read(db, id_)
            before = _one(found, source, write_key)
            if after is not None:
                _check_left(found, source, write_key, "end")
            ends_at = None if after is None else now + after
            _set_end(db, write_key, ends_at)
            told = {"endsAt": (before.ends_at, ends_at), **added(writeKey=key_shown(write_key))}
            self._record(db, by, "source.key_end", source, told)
            return _one(_read(db, id_), source, write_key)

    def remove(self, source: str, write_key: str, *, by: str = "cli") -> None:
        """It lets nobody in any more. The last one that has no end cannot be removed."""
        with self._database.write() as db:
            now = self._now()
            found = _read(db, source_named(db, source, now).id)
            if not _one(found, source, write_key).has_ended(now):
                _check_left(found, source, write_key, "go")
            db.execute("DELETE FROM write_key WHERE key = ?", (write_key,))
            self._record(db, by, "source.key_removed", source, {"writeKey": (key_shown(write_key), None)})

    def note_use(self, keys: Iterable[str], at: int) -> None:
        """
        Requests have named these. Keys that nobody has are passed by.

        at  unix milliseconds; kept to the minute
        """
        minute = at - at % MINUTE
        with self._database.write() as db:
            db.executemany(
                "INSERT INTO key_use SELECT id, ?1 FROM write_key WHERE key = ?2 "
                "ON CONFLICT DO UPDATE SET used_at = max(used_at, excluded.used_at)",
                [(minute, key) for key in sorted(keys)],
            )

    def _record(self, db: apsw.Connection, by: str, what: str, source: str, changes: Changes) -> None:
        record(db, self._now(), by, what, source, changes)

    def _insert(self, db: apsw.Connection, source: str, write_key: str) -> None:
        now = self._now()
        id_ = source_named(db, source, now).id
        found = _read(db, id_)
        if len(found) >= MOST_KEYS:
            ended = [one for one in found if one.has_ended(now)]
            if not ended:
                raise Clash(f"Source {source} has {MOST_KEYS} write keys. Remove one that nothing sends with any more.")
            oldest = min(ended, key=lambda one: one.ends_at or 0)
            db.execute("DELETE FROM write_key WHERE key = ?", (oldest.key,))
        insert_key(db, id_, write_key, now)


def new_key(given: str | None) -> str:
    """A random one unless given. UserError if that cannot be one."""
    if given is None:
        return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(KEY_LENGTH))
    if not is_write_key(given):
        raise UserError(
            f"A write key has 1 to {LONGEST_KEY} characters: letters, digits and signs, no space and no colon. "
            "Without --write-key a random one is made."
        )
    return given


def insert_key(db: apsw.Connection, source: int, write_key: str, now: int) -> None:
    """Within a write transaction."""
    owner = fetch(db, "SELECT source FROM write_key WHERE key = ?", write_key)
    if owner:
        whose = "this source" if owner[0][0] == source else "another source"
        raise Clash(f"This write key belongs to {whose} already. Choose another, or leave it out.")
    db.execute("INSERT INTO write_key (key, source, created_at) VALUES (?, ?, ?)", (write_key, source, now))


def _read(db: apsw.Connection, source: int) -> tuple[WriteKey, ...]:
    found = fetch(
        db,
        "SELECT w.key, w.created_at, w.ends_at, u.used_at FROM write_key w LEFT JOIN key_use u ON u.key = w.id "
        "WHERE w.source = ? ORDER BY w.id",
        source,
    )
    return tuple(
        WriteKey(key=key, created_at=created_at, ends_at=ends_at, used_at=used_at)
        for key, created_at, ends_at, used_at in found
    )


def _one(keys: Iterable[WriteKey], source: str, write_key: str) -> WriteKey:
    for one in keys:
        if one.key == write_key:
            return one
    raise NotThere(f"Source {source} has no such write key. See `milonga sources keys list {source}`.")


def _check_left(keys: Iterable[WriteKey], source: str, write_key: str, what: str) -> None:
    """UserError if no key without an end were left: the source would fall silent, if not today."""
    if not any(one.ends_at is None and one.key != write_key for one in keys):
        raise Clash(
            f"It is the only write key of {source} that has no end, so it cannot {what}. Add another first: milonga "
            f"sources keys add {source}. To stop taking events: milonga sources disable {source}."
        )


def _set_end(db: apsw.Connection, write_key: str, at: int | None) -> None:
    db.execute("UPDATE write_key SET ends_at = ? WHERE key = ?", (at, write_key))
