"""A new version of a destination's settings: what may become of them, and writing it, its secrets sealed."""

from collections.abc import Collection, Mapping

import apsw
import msgspec
from msgspec import Struct

from milonga.destinations.contract import Destination
from milonga.filters.chain import check
from milonga.workspace.database import fetch
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig, SettingsVersion
from milonga.workspace.rows import key_differs, key_missing, lost_delivery, read_secrets
from milonga.workspace.secrets import Key, KeyProvider, Sealed, seal
from milonga.workspace.settings import changed, led_elsewhere, split


def check_led(before: DestinationConfig, after: Struct, given: Collection[str], by: str) -> None:
    """
    UserError if secrets would be led to another host by somebody who cannot read them: people of the console, and
    programs with a token. Who is on the server's machine can read them anyway.
    """
    if not by.startswith(("user:", "token:")):
        return
    if found := led_elsewhere(before.settings, after, given):
        labels = " and ".join(field.label for field in found)
        raise UserError(
            f"{before.name} would send elsewhere than before, and {labels} with it. Type {labels} again, or empty it: "
            "what nobody is shown is not sent to where somebody else points."
        )


def save_settings(
    db: apsw.Connection,
    keys: KeyProvider,
    destination: int,
    made: SettingsVersion,
    settings: Struct,
    delivery: str,
    given: set[str],
    *,
    new_key: bool,
) -> None:
    """
    Within a write transaction.

    delivery DeliverySettings as they are stored (milonga.workspace.settings.own_choice)
    given    names of the kind's own that were given now: of these the secrets are sealed; the others are carried over
             as they lie, so that no key is needed for them
    new_key  see Workspace.set_settings
    """
    plain, secret = split(settings)
    db.execute(
        "INSERT INTO settings (destination, version, at, by, plain, changed, delivery) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            destination,
            made.version,
            made.at,
            made.by,
            msgspec.json.encode(plain).decode(),
            msgspec.json.encode(made.changed).decode(),
            delivery,
        ),
    )
    before = read_secrets(db, destination, made.version - 1)
    sealed = {name: one for name, one in before.items() if name not in given}
    to_seal = {name: text for name, text in secret.items() if name in given}
    if to_seal:
        key = key_for_sealing(db, keys, destination, new_key=new_key)
        sealed |= {name: seal(key, text, destination, name) for name, text in to_seal.items()}
    for name, one in sealed.items():
        insert_secret(db, destination, made.version, name, one)


def unreadable_secrets(db: apsw.Connection, config: DestinationConfig) -> set[str]:
    """Those that are stored but not in the settings as read, for want of their key."""
    return set(read_secrets(db, config.id, config.settings_version)) - set(split(config.settings)[1])


def changed_delivery(current: DeliverySettings, changes: Mapping[str, object], kind: Destination) -> DeliverySettings:
    """A copy with these changes, read as settings are; UserError also for filters that cannot be."""
    settings = changed(current, changes, kind.label)
    assert isinstance(settings, DeliverySettings)  # noqa: S101  changed keeps the type
    if settings.filters != current.filters:
        try:
            check(settings.filters)
        except ValueError as error:
            raise UserError(str(error)) from None
    return settings


def check_lost(destination: str, stored: str, given: Mapping[str, object]) -> None:
    """UserError if what was set, and cannot be read any more, would become its default without anybody's saying so."""
    lost = lost_delivery(stored) - set(given)
    if given and lost:
        one = min(lost)
        raise UserError(
            f"What is stored of {destination} for {one} cannot be used any more. Say it as well, by {one}=... or, for "
            f"its default, --unset {one}."
        )


def key_for_sealing(db: apsw.Connection, keys: KeyProvider, destination: int, *, new_key: bool) -> Key:
    """
    It must be the key that sealed the secrets in use, `destination`'s earlier ones included: a process started without
    the right MILONGA_KEY would else seal what the server cannot read. UserError says how to get past that on purpose.
    """
    in_use = fetch(
        db,
        "SELECT d.id, d.name, s.name, s.key_id FROM secret s JOIN destination d ON d.id = s.destination "
        "WHERE d.removed_at IS NULL AND s.version = (SELECT max(version) FROM settings WHERE destination = d.id) "
        "OR s.destination = ?1 AND s.version = (SELECT max(version) - 1 FROM settings WHERE destination = ?1)",
        destination,
    )
    key = keys.find()
    foreign = [(called, name) for _, called, name, key_id in in_use if key is None or key_id != key.id]
    if foreign and not new_key:
        called = foreign[0][0]
        names = tuple(sorted({name for owner, name in foreign if owner == called}))
        raise UserError((key_missing if key is None else key_differs)(keys, called, names))
    return keys.make()


def insert_secret(db: apsw.Connection, destination: int, version: int, name: str, sealed: Sealed) -> None:
    db.execute(
        "INSERT INTO secret (destination, version, name, key_id, sealed) VALUES (?, ?, ?, ?, ?)",
        (destination, version, name, sealed.key_id, sealed.data),
    )
