"""Reading the tables of workspace.db into the model. Nothing here writes."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import apsw
import msgspec
import structlog
from msgspec import Struct

from milonga.destinations.contract import Destination
from milonga.workspace.database import fetch
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.fields import fields_of
from milonga.workspace.model import (
    BrowserDestination,
    DestinationConfig,
    DestinationState,
    FormerDestination,
    KeyEnd,
    SettingsVersion,
    Source,
    SourceSettings,
    StateChange,
    UnknownSettings,
)
from milonga.workspace.secrets import KeyProvider, Sealed, unseal
from milonga.workspace.settings import forced, joined, masks, usable_of

_log = structlog.get_logger("milonga.workspace")

_ENDS = msgspec.json.Decoder(dict[int, int])

NOWHERE = ("https://nowhere.invalid",)
"""
Allowed origins of a source whose own cannot be read: no page has this one (RFC 2606), for the default would let in all.
"""

Secrets = dict[str, Sealed]
"""Of one version of one destination's settings, by name."""


def read_sources(db: apsw.Connection, now: int) -> tuple[Source, ...]:
    """
    Settings that are no longer possible, or are damaged, are told, and have their defaults.

    now  unix milliseconds: which write keys have ended
    """
    keys: dict[int, list[str]] = defaultdict(list)
    ends: dict[int, list[KeyEnd]] = defaultdict(list)
    for source, key, ends_at in fetch(db, "SELECT source, key, ends_at FROM write_key ORDER BY id"):
        keys[source].append(key)
        if ends_at is not None:
            ends[source].append(KeyEnd(key, ends_at))
    found = []
    for id_, name, created_at, stored in fetch(
        db, "SELECT id, name, created_at, settings FROM source WHERE removed_at IS NULL ORDER BY id"
    ):
        settings, trouble = source_settings(stored)
        found.append(
            Source(
                id=id_,
                name=name,
                write_keys=tuple(keys[id_]),
                created_at=created_at,
                settings=settings,
                trouble=f"Source {name}: {trouble}" if trouble else "",
                key_ends=tuple(ends[id_]),
            ).at(now)
        )
    return tuple(found)


def source_named(db: apsw.Connection, name: str, now: int, *, may_add: bool = False) -> Source:
    """
    UserError if there is none.

    now      unix milliseconds
    may_add  whether adding it would help, as where something is to hang on it
    """
    for found in read_sources(db, now):
        if found.name == name:
            return found
    add = f", or `milonga sources add {name}`" if may_add else ""
    raise NotThere(f"There is no source called {name}. See `milonga sources list`{add}.")


def source_settings(stored: str) -> tuple[SourceSettings, str]:
    """
    From JSON, and "" or what of it cannot be used: that has its default, but allowed origins are NOWHERE then. Names it
    does not know are another version's, and passed by.
    """
    try:
        given = msgspec.json.decode(stored, type=dict[str, Any])
    except msgspec.DecodeError:
        trouble = "its stored settings are damaged, so it has the defaults."
        if "origins" in stored:
            return SourceSettings(origins=NOWHERE), f"{trouble} {_NO_PAGE}"
        return SourceSettings(), trouble
    usable: dict[str, Any] = {}
    wrong: list[str] = []
    for name in given.keys() & {field.name for field in fields_of(SourceSettings)}:
        try:
            usable[name] = given[name]
            msgspec.convert({name: given[name]}, SourceSettings)
        except msgspec.ValidationError:
            del usable[name]
            wrong.append(name)
    if not wrong:
        return msgspec.convert(usable, SourceSettings), ""
    trouble = f"what is stored for {', '.join(sorted(wrong))} is no possible value, so it has the default."
    if "origins" in wrong:
        usable["origins"] = NOWHERE
        trouble = f"{trouble} {_NO_PAGE}"
    return msgspec.convert(usable, SourceSettings), trouble


_NO_PAGE = "Which web sites may send is not known any more, so none may."


def read_browser_destinations(db: apsw.Connection, kinds: Mapping[str, Destination]) -> tuple[BrowserDestination, ...]:
    """
    Those that take events: on, or paused. No secret is unsealed for it. One whose kind this Milonga does not have, or
    whose stored settings it takes no more, is left out: delivery, too, sends nothing there until that is mended. So is
    one whose kind fails.
    """
    found = (
        _for_browsers(db, kinds[kind], id_, source, DestinationState(state))
        for id_, kind, source, state in fetch(
            db,
            "SELECT d.id, d.kind, d.source, c.state FROM destination d JOIN state_change c ON c.id = "
            "(SELECT max(id) FROM state_change WHERE destination = d.id) WHERE d.removed_at IS NULL ORDER BY d.id",
        )
        if kind in kinds
    )
    return tuple(one for one in found if one is not None)


def _for_browsers(
    db: apsw.Connection, kind: Destination, id_: int, source: int, state: DestinationState
) -> BrowserDestination | None:
    if state is DestinationState.off:
        return None
    try:
        version, _, plain, delivery = newest_settings(db, id_)
        settings, trouble = joined(kind.settings, plain, masks(kind.settings, read_secrets(db, id_, version)))
    except msgspec.MsgspecError:  # damaged
        return None
    if trouble:
        return None
    try:
        says = kind.browser(settings)
    except Exception as error:  # a fault in one kind must not keep the collector from its work
        _log.error("destination.says_nothing_to_browsers", destination=id_, kind=kind.kind, error=type(error).__name__)
        return None
    if says is not None and state is DestinationState.paused:
        says = {**says, "paused": True}
    categories = delivery_settings(delivery)[0].consent_categories
    return BrowserDestination(source=source, label=kind.label, says=says, categories=categories)


def read_destinations(
    db: apsw.Connection, kinds: Mapping[str, Destination], keys: KeyProvider
) -> tuple[DestinationConfig, ...]:
    """
    Those not removed, by id. One whose secrets cannot be read now, whose stored settings its kind takes no more, or
    whose kind this Milonga does not have, shows as paused with the reason, by "workspace", if it is on.
    """
    rows = fetch(db, "SELECT id, name, kind, source FROM destination WHERE removed_at IS NULL ORDER BY id")
    return tuple(_destination(db, id_, name, kind, source, kinds, keys) for id_, name, kind, source in rows)


def _destination(
    db: apsw.Connection,
    id_: int,
    name: str,
    kind: str,
    source: int,
    kinds: Mapping[str, Destination],
    keys: KeyProvider,
) -> DestinationConfig:
    version, at, plain, stored = newest_settings(db, id_)
    settings, trouble = _settings(db, id_, name, kinds.get(kind), version, plain, keys)
    delivery, delivery_trouble = delivery_settings(stored)
    trouble = trouble or (delivery_trouble and _anew(delivery_trouble, name))
    changes = read_changes(db, id_)
    now = changes[-1]
    if (trouble or kind not in kinds) and now.state is DestinationState.on:
        changes += (
            StateChange(
                at=max(at, now.at),
                state=DestinationState.paused,
                by="workspace",
                reason=trouble or unknown_kind(kinds, kind, name),
                end=now.end,
            ),
        )
    return DestinationConfig(
        id=id_,
        name=name,
        kind=kind,
        source=source,
        settings=settings,
        settings_version=version,
        changes=changes,
        delivery=delivery,
    )


def delivery_settings(stored: str) -> tuple[DeliverySettings, str]:
    """From JSON, and "" or what of it cannot be used, in words: that has its default."""
    try:
        given = msgspec.json.decode(stored, type=dict[str, Any])
    except msgspec.DecodeError:
        return DeliverySettings(), "its stored delivery settings are damaged"
    settings, trouble = joined(DeliverySettings, given)
    assert isinstance(settings, DeliverySettings)  # noqa: S101  joined makes what it is asked for
    return settings, trouble


def lost_delivery(stored: str) -> set[str]:
    """Names of delivery settings that were set to what is no possible value; none if nothing can be read at all."""
    try:
        return set(usable_of(DeliverySettings, msgspec.json.decode(stored, type=dict[str, Any]))[1])
    except msgspec.DecodeError:
        return set()


def _settings(
    db: apsw.Connection,
    id_: int,
    name: str,
    kind: Destination | None,
    version: int,
    plain: dict[str, object],
    keys: KeyProvider,
) -> tuple[Struct, str]:
    """And in words what keeps them from being used ("" if nothing does)."""
    if kind is None:
        return UnknownSettings(), ""
    readable, key_trouble = _opened(id_, name, read_secrets(db, id_, version), keys)
    settings, trouble = joined(kind.settings, plain, readable)
    return settings, key_trouble or (trouble and _anew(trouble, name))


def _anew(trouble: str, destination: str) -> str:
    return f"{trouble}; give it anew with `milonga destinations set {destination}`"


def _opened(destination: int, called: str, sealed: Secrets, keys: KeyProvider) -> tuple[dict[str, str], str]:
    """What opens, by name, and in words why the rest does not ("" if all does)."""
    if not sealed:
        return {}, ""
    try:
        key = keys.find()
    except UserError as error:
        return {}, str(error)
    if key is None:
        return {}, key_missing(keys, called, tuple(sealed))
    opened = {name: unseal(key, one, destination, name) for name, one in sealed.items()}
    closed = tuple(name for name, text in opened.items() if text is None)
    trouble = key_differs(keys, called, closed) if closed else ""
    return {name: text for name, text in opened.items() if text is not None}, trouble


def key_missing(keys: KeyProvider, destination: str, secrets: tuple[str, ...]) -> str:
    return (
        f"{', '.join(secrets)} of destination {destination} cannot be read: there is no key. "
        f"Put {keys.where} back from your copy, or give the key in MILONGA_KEY. {_lost(destination, secrets)}"
    )


def key_differs(keys: KeyProvider, destination: str, secrets: tuple[str, ...]) -> str:
    return (
        f"{', '.join(secrets)} of destination {destination} cannot be read: sealed with another key than the one in "
        f"{keys.where}, or damaged. Put the earlier key back. {_lost(destination, secrets)}"
    )


def _lost(destination: str, secrets: tuple[str, ...]) -> str:
    again = " ".join(f"--set {name}=..." for name in secrets)
    return f"If it is lost for good, give them anew: milonga destinations set {destination} {again} --new-key"


def kind_named(kinds: Mapping[str, Destination], kind: str, destination: str = "") -> Destination:
    if (found := kinds.get(kind)) is not None:
        return found
    raise UserError(unknown_kind(kinds, kind, destination))


def unknown_kind(kinds: Mapping[str, Destination], kind: str, destination: str = "") -> str:
    whose = f"Destination {destination} is of kind {kind!r}, which" if destination else f"A kind {kind!r}"
    what = "this Milonga does not have" if destination else "does not exist"
    return f"{whose} {what}. Kinds: {', '.join(sorted(kinds)) or 'none'}."


def newest_settings(db: apsw.Connection, destination: int) -> tuple[int, int, dict[str, object], str]:
    """(version, unix milliseconds it was made, the kind's own but the secrets, those of the delivery as JSON)"""
    version, at, plain, delivery = fetch(
        db,
        "SELECT version, at, plain, delivery FROM settings WHERE destination = ? ORDER BY version DESC LIMIT 1",
        destination,
    )[0]
    return version, at, msgspec.json.decode(plain, type=dict[str, object]), delivery


def read_secrets(db: apsw.Connection, destination: int, version: int) -> Secrets:
    rows = fetch(
        db, "SELECT name, key_id, sealed FROM secret WHERE destination = ? AND version = ?", destination, version
    )
    return {name: Sealed(key_id, data) for name, key_id, data in rows}


def read_settings_at(db: apsw.Connection, kinds: Mapping[str, Destination], destination: int, version: int) -> Struct:
    """
    Secrets that were set stand as ***; UnknownSettings of a kind that this Milonga does not have. KeyError if there
    was no such version.
    """
    found = fetch(
        db,
        "SELECT kind, name, plain FROM destination JOIN settings ON destination = id WHERE id = ? AND version = ?",
        destination,
        version,
    )
    if not found:
        raise KeyError((destination, version))
    kind, _, plain = found[0]
    if kind not in kinds:
        return UnknownSettings()
    settings, _ = joined(kinds[kind].settings, msgspec.json.decode(plain))
    return forced(settings, masks(kinds[kind].settings, read_secrets(db, destination, version)))


def read_delivery_at(db: apsw.Connection, destination: int, version: int) -> DeliverySettings:
    """KeyError if there was no such version. What of it cannot be used any more has its default."""
    found = fetch(db, "SELECT delivery FROM settings WHERE destination = ? AND version = ?", destination, version)
    if not found:
        raise KeyError((destination, version))
    settings, _ = delivery_settings(found[0][0])
    return settings


def read_changes(db: apsw.Connection, destination: int) -> tuple[StateChange, ...]:
    rows = fetch(
        db, "SELECT at, state, by, reason, log_end FROM state_change WHERE destination = ? ORDER BY id", destination
    )
    return tuple(
        StateChange(at=at, state=DestinationState(state), by=by, reason=reason, end=_ENDS.decode(end))
        for at, state, by, reason, end in rows
    )


def read_versions(db: apsw.Connection, destination: int) -> tuple[SettingsVersion, ...]:
    rows = fetch(
        db, "SELECT at, version, by, changed FROM settings WHERE destination = ? ORDER BY version", destination
    )
    return tuple(
        SettingsVersion(at=at, version=version, by=by, changed=tuple(msgspec.json.decode(changed)))
        for at, version, by, changed in rows
    )


def read_former(db: apsw.Connection) -> tuple[FormerDestination, ...]:
    rows = fetch(
        db, "SELECT id, name, kind, source, removed_at FROM destination WHERE removed_at IS NOT NULL ORDER BY id"
    )
    return tuple(
        FormerDestination(
            id=id_, name=name, kind=kind, source=source, removed_at=removed_at, changes=read_changes(db, id_)
        )
        for id_, name, kind, source, removed_at in rows
    )
