"""Writing sources, their settings and their write keys. Always within a write transaction."""

import secrets
import string
from collections.abc import Mapping

import apsw

from milonga.workspace.audit import Changes, between
from milonga.workspace.database import fetch
from milonga.workspace.errors import Clash, NotThere, UserError
from milonga.workspace.model import LONGEST_KEY, Source, SourceSettings, is_write_key
from milonga.workspace.rows import NOWHERE, read_sources
from milonga.workspace.settings import by_name, changed, differences, own_choice

KEY_LENGTH = 32
MOST_KEYS = 20  #: write keys of one source


def source_named(db: apsw.Connection, name: str, *, may_add: bool = False) -> Source:
    """
    UserError if there is none.

    may_add  whether adding it would help, as where something is to hang on it
    """
    for found in read_sources(db):
        if found.name == name:
            return found
    add = f", or `milonga sources add {name}`" if may_add else ""
    raise NotThere(f"There is no source called {name}. See `milonga sources list`{add}.")


def insert_source(db: apsw.Connection, name: str, write_key: str, now: int) -> Source:
    if fetch(db, "SELECT id FROM source WHERE name = ? AND removed_at IS NULL", name):
        raise Clash(f"There is a source called {name} already. See `milonga sources list`.")
    db.execute("INSERT INTO source (name, created_at) VALUES (?, ?)", (name, now))
    id_ = db.last_insert_rowid()
    insert_key(db, id_, write_key)
    return Source(id=id_, name=name, write_keys=(write_key,), created_at=now)


def update_settings(db: apsw.Connection, name: str, changes: Mapping[str, object]) -> Changes:
    """What it changed. Only what differs from the defaults is kept. UserError."""
    source = source_named(db, name)
    given = by_name(SourceSettings, changes, "A source")
    if source.settings.origins == NOWHERE and "origins" not in given:
        raise UserError(
            f"Which web sites may send to {name} cannot be read any more. Say it as well, by origins=... or, to let "
            "all send, --unset origins."
        )
    after = changed(source.settings, given, f"Source {name}")
    db.execute("UPDATE source SET settings = ? WHERE id = ?", (own_choice(after), source.id))
    return between(differences(source.settings, after), (source.settings, after))


def delete_source(db: apsw.Connection, name: str, now: int) -> None:
    id_ = source_named(db, name).id
    hanging = fetch(db, "SELECT name FROM destination WHERE source = ? AND removed_at IS NULL", id_)
    if hanging:
        commands = "\n".join(f"  milonga destinations remove {one}" for (one,) in hanging)
        raise Clash(f"Source {name} still has destinations. Remove them first:\n{commands}")
    db.execute("DELETE FROM write_key WHERE source = ?", (id_,))
    db.execute("UPDATE source SET removed_at = ? WHERE id = ?", (now, id_))


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


def insert_key(db: apsw.Connection, source: int, write_key: str) -> None:
    owner = fetch(db, "SELECT source FROM write_key WHERE key = ?", write_key)
    if owner:
        whose = "this source" if owner[0][0] == source else "another source"
        raise Clash(f"This write key belongs to {whose} already. Choose another, or leave it out.")
    db.execute("INSERT INTO write_key (key, source) VALUES (?, ?)", (write_key, source))


def add_key(db: apsw.Connection, name: str, write_key: str) -> None:
    source = source_named(db, name)
    if len(source.write_keys) >= MOST_KEYS:
        raise Clash(f"Source {name} has {MOST_KEYS} write keys. Remove one that nothing sends with any more.")
    insert_key(db, source.id, write_key)


def delete_key(db: apsw.Connection, name: str, write_key: str) -> None:
    source = source_named(db, name)
    if write_key not in source.write_keys:
        raise NotThere(f"Source {name} has no such write key. See `milonga sources show {name}`.")
    if len(source.write_keys) == 1:
        raise Clash(
            f"It is the only write key of {name}. Add another first: milonga sources keys add {name}. "
            f"To stop taking events: milonga sources disable {name}."
        )
    db.execute("DELETE FROM write_key WHERE source = ? AND key = ?", (source.id, write_key))
