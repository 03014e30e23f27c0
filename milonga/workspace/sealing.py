"""Addresses with a query that lie in the clear, from before their queries were taken for secrets: sealed now."""

from collections.abc import Mapping
from typing import Any

import apsw
import msgspec

from milonga.destinations.contract import Destination
from milonga.destinations.http import is_masked, shown_address
from milonga.workspace.database import Database, fetch
from milonga.workspace.fields import fields_of
from milonga.workspace.saving import insert_secret, key_for_sealing
from milonga.workspace.secrets import KeyProvider, seal


def seal_addresses(database: Database, keys: KeyProvider, kinds: Mapping[str, Destination]) -> int:
    """
    In all versions; of destinations that were removed the query goes. How many versions had one.

    UserError if they cannot be sealed: nothing was changed.
    """
    with database.read() as db:
        if not _in_the_clear(db, kinds):
            return 0
    database.db.pragma("secure_delete", True)
    with database.write() as db:
        found = _in_the_clear(db, kinds)
        for destination, version, removed, plain, names in found:
            if not removed:
                key = key_for_sealing(db, keys, destination, new_key=False)
                for name in names:
                    insert_secret(db, destination, version, name, seal(key, plain[name], destination, name))
            shown = msgspec.json.encode(plain | {name: shown_address(plain[name]) for name in names}).decode()
            sql = "UPDATE settings SET plain = ? WHERE destination = ? AND version = ?"
            db.execute(sql, (shown, destination, version))
    return len(found)


def _in_the_clear(
    db: apsw.Connection, kinds: Mapping[str, Destination]
) -> list[tuple[int, int, bool, dict[str, Any], list[str]]]:
    """(destination, version, whether it was removed, its plain settings, names of those with a query)"""
    found = []
    for destination, version, removed_at, kind, text in fetch(
        db,
        "SELECT d.id, s.version, d.removed_at, d.kind, s.plain FROM settings s JOIN destination d "
        "ON d.id = s.destination WHERE instr(s.plain, '?') ORDER BY d.id, s.version",
    ):
        if kind not in kinds:
            continue
        try:
            plain = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:  # damaged
            continue
        names = [field.name for field in fields_of(kinds[kind].settings) if field.hides_query]
        clear = [
            name for name in names if isinstance(one := plain.get(name), str) and "?" in one and not is_masked(one)
        ]
        if clear:
            found.append((destination, version, removed_at is not None, plain, clear))
    return found
