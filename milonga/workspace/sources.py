"""Sources: what they are called, their settings, and whose a write key is. Their keys themselves are in keys.py."""

from collections.abc import Callable, Mapping

import apsw

from milonga.workspace.audit import Changes, added, between, key_shown, record
from milonga.workspace.database import Database, Token, fetch
from milonga.workspace.errors import Clash, UserError
from milonga.workspace.keys import insert_key, new_key
from milonga.workspace.model import Source, SourceSettings, WriteKeys
from milonga.workspace.names import check_name
from milonga.workspace.rows import NOWHERE, read_sources, source_named
from milonga.workspace.settings import by_name, changed, differences, own_choice


class Sources:
    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database, self._now = database, now
        self._keys: tuple[Token, WriteKeys] | None = None

    def all(self) -> tuple[Source, ...]:
        with self._database.read() as db:
            return read_sources(db, self._now())

    def names(self) -> dict[int, str]:
        """Of all there ever were, by id."""
        with self._database.read() as db:
            return dict(fetch(db, "SELECT id, name FROM source"))

    def named(self, name: str) -> Source:
        with self._database.read() as db:
            return source_named(db, name, self._now())

    def of_key(self, write_key: str) -> Source | None:
        """For now and then; whoever asks thousands of times a second keeps a WriteKeys."""
        token = self._database.token()
        if self._keys is None or self._keys[0] != token:
            self._keys = (token, WriteKeys(self.all()))
        found = self._keys[1].source(write_key)
        found = None if found is None else found.at(self._now())
        return None if found is None or write_key not in found.write_keys else found

    def add(self, name: str, write_key: str | None = None, *, by: str = "cli") -> Source:
        """With a random write key unless given one of 1 to 100 printable ASCII characters without space and colon."""
        check_name(name, "source")
        key = new_key(write_key)
        with self._database.write() as db:
            source = _insert(db, name, key, self._now())
            self._record(db, by, "source.added", name, added(writeKey=key_shown(key)))
            return source

    def set_settings(self, name: str, changes: Mapping[str, object], *, by: str = "cli") -> Source:
        """
        No history of them is kept. What was damaged is replaced by the defaults that hold for it.

        changes  name -> text as typed, a value of its type, or UNSET for the default
        """
        with self._database.write() as db:
            if made := _update(db, name, changes, self._now()):
                self._record(db, by, "source.settings", name, made)
            return source_named(db, name, self._now())

    def remove(self, name: str, *, by: str = "cli") -> None:
        """Refused while a destination hangs on it. Its write keys let nobody in any more; its events stay."""
        with self._database.write() as db:
            _delete(db, name, self._now())
            self._record(db, by, "source.removed", name, {})

    def _record(self, db: apsw.Connection, by: str, what: str, name: str, changes: Changes) -> None:
        record(db, self._now(), by, what, name, changes)


def _insert(db: apsw.Connection, name: str, write_key: str, now: int) -> Source:
    if fetch(db, "SELECT id FROM source WHERE name = ? AND removed_at IS NULL", name):
        raise Clash(f"There is a source called {name} already. See `milonga sources list`.")
    db.execute("INSERT INTO source (name, created_at) VALUES (?, ?)", (name, now))
    id_ = db.last_insert_rowid()
    insert_key(db, id_, write_key, now)
    return Source(id=id_, name=name, write_keys=(write_key,), created_at=now)


def _update(db: apsw.Connection, name: str, changes: Mapping[str, object], now: int) -> Changes:
    """What it changed. Only what differs from the defaults is kept. UserError."""
    source = source_named(db, name, now)
    given = by_name(SourceSettings, changes, "A source")
    if source.settings.origins == NOWHERE and "origins" not in given:
        raise UserError(
            f"Which web sites may send to {name} cannot be read any more. Say it as well, by origins=... or, to let "
            "all send, --unset origins."
        )
    after = changed(source.settings, given, f"Source {name}")
    db.execute("UPDATE source SET settings = ? WHERE id = ?", (own_choice(after), source.id))
    return between(differences(source.settings, after), (source.settings, after))


def _delete(db: apsw.Connection, name: str, now: int) -> None:
    id_ = source_named(db, name, now).id
    hanging = fetch(db, "SELECT name FROM destination WHERE source = ? AND removed_at IS NULL", id_)
    if hanging:
        commands = "\n".join(f"  milonga destinations remove {one}" for (one,) in hanging)
        raise Clash(f"Source {name} still has destinations. Remove them first:\n{commands}")
    db.execute("DELETE FROM write_key WHERE source = ?", (id_,))
    db.execute("UPDATE source SET removed_at = ? WHERE id = ?", (now, id_))
