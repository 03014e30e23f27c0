"""Writing sources and their settings. Always within a write transaction."""

from collections.abc import Mapping

import apsw

from milonga.workspace.audit import Changes, between
from milonga.workspace.database import fetch
from milonga.workspace.errors import Clash, UserError
from milonga.workspace.keys import insert_key
from milonga.workspace.model import Source, SourceSettings
from milonga.workspace.rows import NOWHERE, source_named
from milonga.workspace.settings import by_name, changed, differences, own_choice


def insert_source(db: apsw.Connection, name: str, write_key: str, now: int) -> Source:
    if fetch(db, "SELECT id FROM source WHERE name = ? AND removed_at IS NULL", name):
        raise Clash(f"There is a source called {name} already. See `milonga sources list`.")
    db.execute("INSERT INTO source (name, created_at) VALUES (?, ?)", (name, now))
    id_ = db.last_insert_rowid()
    insert_key(db, id_, write_key, now)
    return Source(id=id_, name=name, write_keys=(write_key,), created_at=now)


def update_settings(db: apsw.Connection, name: str, changes: Mapping[str, object], now: int) -> Changes:
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


def delete_source(db: apsw.Connection, name: str, now: int) -> None:
    id_ = source_named(db, name, now).id
    hanging = fetch(db, "SELECT name FROM destination WHERE source = ? AND removed_at IS NULL", id_)
    if hanging:
        commands = "\n".join(f"  milonga destinations remove {one}" for (one,) in hanging)
        raise Clash(f"Source {name} still has destinations. Remove them first:\n{commands}")
    db.execute("DELETE FROM write_key WHERE source = ?", (id_,))
    db.execute("UPDATE source SET removed_at = ? WHERE id = ?", (now, id_))
