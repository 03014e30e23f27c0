"""
The workspace: destinations, their settings and states, and all else in `<data>/workspace.db`, which several processes
write.

All calls are quick and synchronous: one short transaction each. A running server asks `changed_since` twice a second
and reads again only when something changed, also from another process.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import apsw
import msgspec
from msgspec import Struct

from milonga.destinations import registry
from milonga.destinations.contract import Destination
from milonga.workspace import reverting, rows
from milonga.workspace.audit import Audit, Changes, added, between, record
from milonga.workspace.changes import ALL, SettingsChange, read_settings_changes
from milonga.workspace.commands import Commands, milliseconds
from milonga.workspace.database import Database, Token, Value, fetch
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import Clash, NotThere, UserError
from milonga.workspace.fields import fields_of
from milonga.workspace.keys import KeyRing
from milonga.workspace.model import (
    BrowserDestination,
    DestinationConfig,
    DestinationState,
    FormerDestination,
    SettingsVersion,
    StateChange,
)
from milonga.workspace.names import check_name
from milonga.workspace.regulations import Regulations
from milonga.workspace.reverting import Reverted
from milonga.workspace.saving import changed_delivery, check_led, check_lost, save_settings, unreadable_secrets
from milonga.workspace.sealing import seal_addresses
from milonga.workspace.secrets import KeyProvider
from milonga.workspace.sessions import Sessions
from milonga.workspace.settings import by_names, changed, differences, generated, own_choice
from milonga.workspace.sources import Sources
from milonga.workspace.states import forget_pauses, may_change, moved
from milonga.workspace.tokens import Tokens
from milonga.workspace.users import Users

Kinds = Mapping[str, Destination]
Ends = Mapping[int, int]
"""The log's newest offset of each partition."""


class Workspace:
    """
    Make one with `open`; one connection, not to be carried over a fork.

    sources, write_keys  who sends events, and by which keys
    commands  what a running server is asked to do
    regulations  what is asked for about users
    users, sessions, tokens  who may use the console and the API
    audit     who changed what; `by` of a method is who does so, as audit.Entry has it
    kinds     the destinations that can be configured
    """

    def __init__(self, database: Database, keys: KeyProvider, kinds: Kinds, now: Callable[[], int]) -> None:
        self._database = database
        self._keys = keys
        self.kinds = kinds
        self._now = now
        self.sources = Sources(database, now)
        self.write_keys = KeyRing(database, now)
        self.commands = Commands(database, now)
        self.regulations = Regulations(database, now)
        self.users = Users(database, now)
        self.sessions = Sessions(database, now)
        self.tokens = Tokens(database, now)
        self.audit = Audit(database, now)

    @classmethod
    def open(
        cls,
        data: Path,
        keys: KeyProvider | None = None,
        kinds: Kinds | None = None,
        now: Callable[[], int] = milliseconds,
    ) -> Self:
        """
        Of the data directory `data`, created and migrated as needed.

        keys   where the key for secrets comes from; it is looked for only when a secret is read or written
        kinds  destinations by kind; all there are unless told
        now    unix milliseconds
        """
        return cls(Database(data), keys or KeyProvider(data), registered() if kinds is None else kinds, now)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def token(self) -> Token:
        """Take it before reading; give it to `changed_since` later."""
        return (*self._database.token(), self._keys.stamp())

    def changed_since(self, token: Token) -> bool:
        """Whether anything may differ: another process's change, our own, or the key file."""
        return self.token() != token

    def destinations(self) -> tuple[DestinationConfig, ...]:
        """
        Those there are. One whose secrets cannot be read for want of the key shows as paused, with what to do as the
        reason; the others are as ever.
        """
        with self._database.read() as db:
            return rows.read_destinations(db, self.kinds, self._keys)

    def browser_destinations(self) -> tuple[BrowserDestination, ...]:
        """What browsers may know of those that take events. Needs no key, and reads no secret."""
        with self._database.read() as db:
            return rows.read_browser_destinations(db, self.kinds)

    def destination(self, name: str | int) -> DestinationConfig:
        """By name or id."""
        for found in self.destinations():
            if name in (found.name, found.id):
                return found
        raise _no_destination(name)

    def former_destinations(self) -> tuple[FormerDestination, ...]:
        """Removed ones: what the log and the outcomes may still name."""
        with self._database.read() as db:
            return rows.read_former(db)

    def add_destination(
        self,
        kind: str,
        source: str,
        name: str,
        settings: Mapping[str, object],
        state: DestinationState,
        end: Ends,
        *,
        by: str = "cli",
        new_key: bool = False,
    ) -> DestinationConfig:
        """
        settings  name -> text as typed or a value of its type, the kind's own and DeliverySettings; what is absent has
                  its default
        end       it gets what the log holds beyond this
        new_key   see set_settings
        """
        check_name(name, "destination")
        of = rows.kind_named(self.kinds, kind)
        wanted, shared = by_names(of.settings, DeliverySettings, settings, of.label)
        made = generated(of.settings, (one.settings for one in self.destinations() if one.kind == kind))
        whole = changed(of.settings(), {**made, **wanted}, of.label)
        delivery = changed_delivery(DeliverySettings(), shared, of)
        with self._database.write() as db:
            source_id = rows.source_named(db, source, self._now(), may_add=True).id
            if _one(db, "SELECT id FROM destination WHERE name = ? AND removed_at IS NULL", name) is not None:
                raise Clash(f"There is a destination called {name} already. Give this one another name (--name).")
            db.execute("INSERT INTO destination (name, kind, source) VALUES (?, ?, ?)", (name, kind, source_id))
            id_ = db.last_insert_rowid()
            new = (*differences(of.settings(), whole), *differences(DeliverySettings(), delivery))
            first = SettingsVersion(at=self._now(), version=1, by=by, changed=new)
            save_settings(db, self._keys, id_, first, whole, own_choice(delivery), set(wanted), new_key=new_key)
            self._insert_change(db, id_, state, by, "added", end)
            told = added(kind=kind, source=source, state=state.value)
            told = {**told, **between(new, (of.settings(), whole), (DeliverySettings(), delivery))}
            self._record(db, by, "destination.added", name, told)
            return self.destination(id_)

    def set_settings(
        self,
        name: str | int,
        changes: Mapping[str, object],
        end: Ends | None = None,
        *,
        by: str = "cli",
        new_key: bool = False,
        if_settings_version: int | None = None,
    ) -> DestinationConfig:
        """
        A new version of the settings, unless nothing differs. If the pipeline had paused the destination because of
        its settings, it is on again with the same commit.

        changes  name -> text as typed, a value of its type, or UNSET for the default; the kind's own and
                 DeliverySettings
        end      of the log, if known
        new_key  seal with the present key, or make one, although other secrets were sealed with a key that is lost
        if_settings_version  only if these settings are still in force: else what was derived from them is too late
        """
        with self._database.write() as db:
            before = self.destination(name)
            if if_settings_version is not None and before.settings_version != if_settings_version:
                raise Clash(f"Somebody else changed the settings of {before.name} at the same moment. Try again.")
            of = rows.kind_named(self.kinds, before.kind)
            wanted, shared = by_names(of.settings, DeliverySettings, changes, of.label)
            after = changed(before.settings, wanted, of.label)
            check_led(before, after, wanted, by)
            stored_delivery = rows.newest_settings(db, before.id)[3]
            delivery = changed_delivery(before.delivery, shared, of)
            check_lost(before.name, stored_delivery, shared)
            unreadable = unreadable_secrets(db, before)
            new = tuple(dict.fromkeys((*differences(before.settings, after), *(unreadable & set(wanted)))))
            new += differences(before.delivery, delivery)
            text = own_choice(delivery) if shared else stored_delivery
            if new or text != stored_delivery:
                made = SettingsVersion(
                    at=self._now(), version=before.settings_version + 1, by=by, changed=new or (*shared,)
                )
                save_settings(db, self._keys, before.id, made, after, text, set(wanted), new_key=new_key)
                told = between(made.changed, (before.settings, after), (before.delivery, delivery))
                self._record(db, by, "destination.settings", before.name, told)
            self._go_on(db, before.id, by, end)
            return self.destination(before.id)

    def revert_settings(
        self, name: str | int, version: int | None = None, end: Ends | None = None, *, by: str = "cli"
    ) -> Reverted:
        """
        A new version that is equal to an earlier one, its secrets included as far as they can still be read, unless
        nothing differs. What the pipeline paused because of its settings is on again, as after `set_settings`.

        version  the one before that in force, unless given
        end      of the log, if known
        NotThere if there was no such version; UserError if the kind does not take its values any more.
        """
        with self._database.write() as db:
            before = self.destination(name)
            of = rows.kind_named(self.kinds, before.kind, before.name)
            to = reverting.plan(db, self._keys, of, before, before.settings_version - 1 if version is None else version)
            if to.changed:
                made = SettingsVersion(at=self._now(), version=before.settings_version + 1, by=by, changed=to.changed)
                reverting.write(db, before.id, made, to)
                after = self.destination(before.id)
                check_led(before, after.settings, {field.name for field in fields_of(of.settings)} - to.kept, by)
                told = between(to.changed, (before.settings, after.settings), (before.delivery, after.delivery))
                self._record(db, by, "destination.settings", before.name, told)
            self._go_on(db, before.id, by, end)
            return Reverted(self.destination(before.id), to.lost)

    def change_state(
        self,
        name: str | int,
        state: DestinationState,
        by: str,
        reason: str,
        end: Ends,
        *,
        if_settings_version: int | None = None,
    ) -> bool:
        """
        True if it changed, False if it was there already.

        The pipeline's own changes must not undo a person's that came in between: by "settings" it only pauses what is
        on, by "probe" it only resumes what it paused itself. A person's pause of what the pipeline paused counts: then
        only a person resumes it.

        if_settings_version  only if these settings are still in force: whoever judged older ones is too late
        """
        with self._database.write() as db:
            id_ = _destination_id(db, name)
            if if_settings_version is not None and rows.newest_settings(db, id_)[0] != if_settings_version:
                return False
            now = rows.read_changes(db, id_)[-1]
            if not may_change(now, state, by):
                return False
            self._insert_change(db, id_, state, by, reason, end)
            self._record(db, by, "destination.state", _name_of(db, id_), moved(now.state, state, reason))
            return True

    def remove_destination(self, name: str | int, end: Ends, *, by: str = "cli") -> None:
        """Switched off and gone from every list; name, kind and history stay readable, secrets do not."""
        with self._database.write() as db:
            id_ = _destination_id(db, name)
            state = rows.read_changes(db, id_)[-1].state
            self._record(db, by, "destination.removed", _name_of(db, id_), {"state": (state.value, None)})
            if state is not DestinationState.off:
                self._insert_change(db, id_, DestinationState.off, by, "removed", end)
            db.execute("UPDATE secret SET sealed = NULL WHERE destination = ?", (id_,))
            db.execute("UPDATE destination SET removed_at = ? WHERE id = ?", (self._now(), id_))

    def seal_addresses(self) -> int:
        """Of addresses that an earlier Milonga stored with their query in the clear; how many versions had one."""
        return seal_addresses(self._database, self._keys, self.kinds)

    def settings_at(self, destination: int, version: int) -> Struct:
        """
        As they were then, also of a removed destination; for explain. A secret that was set stands as ***.
        KeyError if there was no such version.
        """
        with self._database.read() as db:
            return rows.read_settings_at(db, self.kinds, destination, version)

    def delivery_settings_at(self, destination: int, version: int) -> DeliverySettings:
        """The same of how it was delivered to."""
        with self._database.read() as db:
            return rows.read_delivery_at(db, destination, version)

    def history(self, name: str | int) -> tuple[StateChange | SettingsVersion, ...]:
        """Of its state and its settings, oldest first. By id also of a removed one."""
        with self._database.read() as db:
            id_ = name if isinstance(name, int) else _destination_id(db, name)
            both: list[StateChange | SettingsVersion] = [*rows.read_versions(db, id_), *rows.read_changes(db, id_)]
        if not both:
            raise _no_destination(name)
        return tuple(sorted(both, key=lambda entry: entry.at))

    def settings_changes(self, destination: int, *, before: int = ALL, limit: int = 100) -> tuple[SettingsChange, ...]:
        """
        Which version changed what, from which value to which, newest first; secrets as ***. Also of a removed one.

        before  only versions under this one
        """
        with self._database.read() as db:
            return read_settings_changes(db, self.kinds, destination, before, limit)

    # -- within a write transaction

    def _record(self, db: apsw.Connection, by: str, what: str, name: str, changes: Changes) -> None:
        record(db, self._now(), by, what, name, changes)

    def _go_on(self, db: apsw.Connection, id_: int, by: str, end: Ends | None) -> None:
        """On again, if the pipeline had paused it because of the settings that were changed now."""
        stored = rows.read_changes(db, id_)[-1]
        if stored.state is DestinationState.paused and stored.by == "settings":
            last = stored.end if end is None else end
            self._insert_change(db, id_, DestinationState.on, by, "settings were changed", last)
            told = moved(stored.state, DestinationState.on, "settings were changed")
            self._record(db, by, "destination.state", _name_of(db, id_), told)

    def _insert_change(
        self, db: apsw.Connection, id_: int, state: DestinationState, by: str, reason: str, end: Ends
    ) -> None:
        db.execute(
            "INSERT INTO state_change (destination, at, state, by, reason, log_end) VALUES (?, ?, ?, ?, ?, ?)",
            (id_, self._now(), state.value, by, reason, msgspec.json.encode(end).decode()),
        )
        forget_pauses(db, id_)


def registered() -> Kinds:
    """Every kind there is a folder for. UserError if a folder lacks something."""
    try:
        return registry.kinds()
    except registry.HalfDone as error:
        raise UserError(str(error)) from error


def _one(db: apsw.Connection, query: str, *values: Value) -> int | None:
    found = fetch(db, query, *values)
    return found[0][0] if found else None


def _name_of(db: apsw.Connection, destination: int) -> str:
    return str(fetch(db, "SELECT name FROM destination WHERE id = ?", destination)[0][0])


def _destination_id(db: apsw.Connection, name: str | int) -> int:
    column = "id" if isinstance(name, int) else "name"
    id_ = _one(db, f"SELECT id FROM destination WHERE {column} = ? AND removed_at IS NULL", name)  # noqa: S608
    if id_ is None:
        raise _no_destination(name)
    return id_


def _no_destination(name: str | int) -> UserError:
    return NotThere(f"There is no destination {name}. See `milonga destinations list`.")
