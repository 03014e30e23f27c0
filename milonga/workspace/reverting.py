"""Going back to an earlier version of a destination's settings: a new version that is equal to it."""

import apsw
import msgspec
from msgspec import Struct

from milonga.destinations.contract import Destination
from milonga.workspace.database import fetch
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.model import DestinationConfig, SettingsVersion
from milonga.workspace.rows import Secrets, delivery_settings, read_secrets
from milonga.workspace.secrets import Key, KeyProvider, unseal
from milonga.workspace.settings import differences, joined


class Reverted(Struct, frozen=True):
    """
    config  as it is now
    lost    names of secrets that were set then and cannot be had back: the one in force now stays, if there is one
    """

    config: DestinationConfig
    lost: tuple[str, ...]


class Plan(Struct, frozen=True):
    """
    What going back would change.

    changed  names of what would differ from now; if none, there is nothing to do
    kept     names of secrets that stay as they are now
    lost     those of them that were set then
    """

    version: int
    changed: tuple[str, ...]
    kept: frozenset[str]
    lost: tuple[str, ...]


def plan(db: apsw.Connection, keys: KeyProvider, kind: Destination, now: DestinationConfig, version: int) -> Plan:
    """NotThere if there was no such version; UserError if its values are none that the kind takes today."""
    found = fetch(db, "SELECT plain, delivery FROM settings WHERE destination = ? AND version = ?", now.id, version)
    if not found and now.settings_version == 1:
        raise NotThere(f"{now.name} has the settings that it was added with: there are none to go back to.")
    if not found:
        raise NotThere(
            f"{now.name} never had settings of version {version}: they go from 1 to {now.settings_version}. "
            f"See `milonga destinations show {now.name}`."
        )
    plain, sent = found[0]
    then, present = read_secrets(db, now.id, version), read_secrets(db, now.id, now.settings_version)
    opened, lost = _opened(keys, now.id, then, present)
    settings, trouble = joined(kind.settings, msgspec.json.decode(plain), opened)
    delivery, delivery_trouble = delivery_settings(sent)
    if trouble or delivery_trouble:
        raise UserError(f"Version {version} of {now.name} cannot be used any more: {trouble or delivery_trouble}.")
    differ = [*differences(now.settings, settings), *differences(now.delivery, delivery)]
    secret = set(then) | set(present)
    differ = [name for name in differ if name not in secret]
    differ += [name for name in sorted(secret - lost) if _differs(keys, now.id, name, then, present)]
    return Plan(version, tuple(differ), frozenset(lost), tuple(sorted(lost)))


def write(db: apsw.Connection, destination: int, made: SettingsVersion, to: Plan) -> None:
    """
    Within a write transaction. All is copied as it lies, sealed secrets too: a seal holds for the destination and the
    setting, whatever the version. What stands beside the seal of an address that stays, stays with it.
    """
    plain = _plain(db, destination, to.version)
    present = _plain(db, destination, made.version - 1)
    plain |= {name: present[name] for name in to.kept if name in present}
    db.execute(
        "INSERT INTO settings (destination, version, at, by, plain, changed, delivery) "
        "SELECT destination, ?, ?, ?, ?, ?, delivery FROM settings WHERE destination = ? AND version = ?",
        (
            made.version,
            made.at,
            made.by,
            msgspec.json.encode(plain).decode(),
            msgspec.json.encode(made.changed).decode(),
            destination,
            to.version,
        ),
    )
    for version, kept in ((to.version, False), (made.version - 1, True)):
        for name, one in read_secrets(db, destination, version).items():
            if (name in to.kept) is kept:
                db.execute(
                    "INSERT INTO secret (destination, version, name, key_id, sealed) VALUES (?, ?, ?, ?, ?)",
                    (destination, made.version, name, one.key_id, one.data),
                )


def _plain(db: apsw.Connection, destination: int, version: int) -> dict[str, object]:
    (text,) = fetch(db, "SELECT plain FROM settings WHERE destination = ? AND version = ?", destination, version)[0]
    return msgspec.json.decode(text, type=dict[str, object])


def _opened(keys: KeyProvider, destination: int, then: Secrets, present: Secrets) -> tuple[dict[str, str], set[str]]:
    """
    The secrets of then that open, by name, and the names of those that are lost: sealed with another key than the one
    there is. Without any key here, as in a shell that lacks the server's MILONGA_KEY, what the secrets in force are
    sealed with is taken for the server's.
    """
    key = _key(keys)
    if key is None:
        known = {one.key_id for one in present.values()}
        return {}, {name for name, one in then.items() if one.key_id not in known and one != present.get(name)}
    opened = {name: unseal(key, one, destination, name) for name, one in then.items()}
    lost = {name for name, text in opened.items() if text is None and then[name] != present.get(name)}
    return {name: text for name, text in opened.items() if text is not None}, lost


def _differs(keys: KeyProvider, destination: int, name: str, then: Secrets, present: Secrets) -> bool:
    before, after = present.get(name), then.get(name)
    if before == after:
        return False
    key = _key(keys)
    if before is None or after is None or key is None:
        return True
    return unseal(key, before, destination, name) != unseal(key, after, destination, name)


def _key(keys: KeyProvider) -> Key | None:
    try:
        return keys.find()
    except UserError:
        return None
