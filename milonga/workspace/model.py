"""What a workspace holds: sources, destinations, their settings and states. Plain data; the files are in store.py."""

from enum import StrEnum

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
    by      who: "cli", "settings" (the pipeline paused it), "probe" (the pipeline resumed it), ...
    reason  in words; "" if there is none to give
    end     the log's newest offset of each partition at that moment. Switching on begins behind it; switching off
            ends what waits up to it
    """

    at: int
    state: DestinationState
    by: str
    reason: str
    end: dict[int, Offset]


class DestinationConfig(Struct, frozen=True, kw_only=True):
    """
    id                never used again after removal
    name              unique
    kind              folder in milonga/destinations
    source            id of the source whose events it gets
    settings          of the kind's settings type, secrets in the clear: never log or show it as it is
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
