"""What a workspace holds: sources, destinations, their settings and states. Plain data; the files are in store.py."""

from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct

from milonga.eventlog.api import Offset


class DestinationState(StrEnum):
    """docs/how-it-works.md, "On, off, paused"."""

    on = "on"
    off = "off"
    paused = "paused"


class Source(Struct, frozen=True, kw_only=True):
    """
    id          never used again after removal
    name        unique; letters, digits, `-`, `_`, `.`; at most 64
    write_keys  any of them lets an SDK in
    """

    id: int
    name: str
    write_keys: tuple[str, ...]
    created_at: int


class StateChange(Struct, frozen=True, kw_only=True):
    """
    at      unix milliseconds
    state   from then on
    by      who: "cli", "settings" (the pipeline paused it), "probe" (the pipeline resumed it), "workspace"
            (its secrets, settings or kind cannot be read at the moment; never stored, ends by itself once they can),
            ...
    reason  in words; "" if there is none to give
    end     the log's newest offset of each partition at that moment. Switching on begins behind it; switching off
            ends what waits up to it
    """

    at: int
    state: DestinationState
    by: str
    reason: str
    end: dict[int, Offset]


class UnknownSettings(Struct, frozen=True):
    """Of a destination of a kind that this Milonga does not have."""


class DestinationConfig(Struct, frozen=True, kw_only=True):
    """
    id                never used again after removal
    name              unique
    kind              folder in milonga/destinations
    source            id of the source whose events it gets
    settings          of the kind's settings type, secrets in the clear: never log or show it as it is; UnknownSettings
                      if this Milonga does not have the kind
    settings_version  1, 2, ...; each change makes a new one, none is ever overwritten
    changes           of its state, oldest first, never empty; the last one holds now
    """

    id: int
    name: str
    kind: str
    source: int
    settings: Struct
    settings_version: int
    changes: tuple[StateChange, ...]

    @property
    def state(self) -> DestinationState:
        return self.changes[-1].state


class Command(Struct, frozen=True, kw_only=True):
    """
    Something a running server is asked to do, such as resending dead letters. It does so within 5 seconds.

    kind  "resend" or "discard"; more will come
    args  of that kind
    """

    id: int
    asked_at: int
    kind: str
    args: dict[str, object]


class SettingsVersion(Struct, frozen=True, kw_only=True):
    """
    One entry of a destination's settings history.

    at       unix milliseconds
    version  1, 2, ...
    by       who: "cli", "console", ...
    changed  names of what differs from the version before; of version 1, from the defaults
    """

    at: int
    version: int
    by: str
    changed: tuple[str, ...]


class FormerDestination(Struct, frozen=True, kw_only=True):
    """
    A removed destination, kept readable because the log and the outcomes go on naming it. Its secrets are gone.

    removed_at  unix milliseconds
    changes     as in DestinationConfig; the last one is off
    """

    id: int
    name: str
    kind: str
    source: int
    removed_at: int
    changes: tuple[StateChange, ...]


class WriteKeys:
    """
    Which source a write key belongs to, as things stood when it was made. Make a new one when the workspace changed.

    Looked up by SHA-256 digest: how long it takes tells nothing about how much of a guess was right.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {_digest(key): source for source in sources for key in source.write_keys}

    def source(self, write_key: str) -> Source | None:
        return self._sources.get(_digest(write_key))


def _digest(write_key: str) -> bytes:
    return sha256(write_key.encode("utf-8", "surrogatepass")).digest()
