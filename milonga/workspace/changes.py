"""What each version of a destination's settings changed, from which value to which, as people may see it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import apsw
import msgspec
from msgspec import Struct

from milonga.destinations.contract import Destination
from milonga.workspace.database import fetch
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.fields import fields_of
from milonga.workspace.rows import delivery_settings
from milonga.workspace.settings import forced, joined, masks, shown

ALL = 1 << 62  #: beyond every version


class Change(Struct, frozen=True):
    """
    One setting.

    before, after  as `shown` has them: JSON, a secret that was set as ***, an address without its query. Both None if
                   the kind does not have the setting any more
    """

    name: str
    label: str
    before: Any
    after: Any


class SettingsChange(Struct, frozen=True):
    """
    One version. `changes` of version 1 are from the defaults.

    at  unix milliseconds
    by  who
    """

    at: int
    version: int
    by: str
    changes: tuple[Change, ...]


def read_settings_changes(
    db: apsw.Connection, kinds: Mapping[str, Destination], destination: int, before: int, limit: int
) -> tuple[SettingsChange, ...]:
    """
    Newest first, also of a removed destination. Secrets are not unsealed for it.

    before  only versions under this one
    """
    found = fetch(
        db,
        "SELECT s.version, s.at, s.by, s.plain, s.delivery, s.changed, d.kind FROM settings s "
        "JOIN destination d ON d.id = s.destination WHERE s.destination = ? AND s.version < ? "
        "ORDER BY s.version DESC LIMIT ?",
        destination,
        before,
        limit + 1,
    )
    if not found:
        return ()
    kind = kinds.get(found[0][6])
    set_: dict[int, list[str]] = defaultdict(list)
    for version, name in fetch(
        db, "SELECT version, name FROM secret WHERE destination = ? AND version >= ?", destination, found[-1][0]
    ):
        set_[version].append(name)
    whole = [
        (SettingsChange(at, version, by, ()), msgspec.json.decode(changed), _as_shown(kind, plain, set_[version], sent))
        for version, at, by, plain, sent, changed, _ in found
    ]
    told: list[SettingsChange] = []
    for place, (entry, names, after) in enumerate(whole[:limit]):
        earlier = whole[place + 1][2] if place + 1 < len(whole) else _as_shown(kind, "{}", (), "{}")
        told.append(msgspec.structs.replace(entry, changes=_changes(kind, names, earlier, after)))
    return tuple(told)


def _as_shown(kind: Destination | None, plain: str, secrets: Iterable[str], delivery: str) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if kind is not None:
        settings, _ = joined(kind.settings, msgspec.json.decode(plain))
        own = shown(forced(settings, masks(kind.settings, secrets)))
    return own | shown(delivery_settings(delivery)[0])


def _changes(
    kind: Destination | None, names: Iterable[str], before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[Change, ...]:
    fields = (*(() if kind is None else fields_of(kind.settings)), *fields_of(DeliverySettings))
    labels = {field.name: field.label for field in fields}
    return tuple(Change(name, labels.get(name, name), before.get(name), after.get(name)) for name in names)
