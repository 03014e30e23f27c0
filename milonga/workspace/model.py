"""What a workspace holds: sources, destinations, their settings and states. Plain data; the files are in store.py."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from msgspec.structs import force_setattr, replace

from milonga.eventlog.api import Offset
from milonga.privacy.ip import Policy
from milonga.workspace.delivery_settings import DeliverySettings

LONGEST_KEY: Final = 100

_WRITE_KEY: Final = re.compile(rf"[!-9;-~]{{1,{LONGEST_KEY}}}")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:(?:\*\.)?[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?|null")
_ANY: Final = ("*",)


def is_write_key(text: str) -> bool:
    """Printable ASCII but space and colon: Basic authorization splits there."""
    return _WRITE_KEY.fullmatch(text) is not None


class DestinationState(StrEnum):
    """docs/how-it-works.md, "On, off, paused"."""

    on = "on"
    off = "off"
    paused = "paused"


class SourceSettings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a user can set about a source, declared as destinations declare theirs. Browsers' write keys are public."""

    enabled: Annotated[
        bool,
        Meta(
            title="Enabled",
            description="Switched off, its events are answered 200, counted as discarded (source_disabled), and not "
            "kept. Browsers and phones still get valid settings.",
        ),
    ] = True
    origins: Annotated[
        tuple[str, ...],
        Meta(
            title="Allowed origins",
            description="Web sites whose pages may send, such as https://www.example.com; several separated by "
            "commas, https://*.example.com for all below. Empty, or a lone *, allows any.",
        ),
    ] = ()
    ip: Annotated[
        Policy,
        Meta(
            title="IP address",
            description="Whether context.ip is filled with the sender's address where it is absent: auto does so for "
            "browsers, phones and pixels, and for calls that ask with context.direct. What senders put there "
            "themselves is kept; truncate is auto, and keeps only 24 bits of any IPv4 address and 48 of IPv6; strip "
            "keeps none at all.",
        ),
    ] = "auto"
    rate_limit: Annotated[
        int,
        Meta(
            title="Rate limit",
            description="Events a second, averaged over ten seconds; beyond it senders are asked to wait (429). "
            "0 sets no limit.",
            ge=0,
        ),
    ] = 0
    new_accounts_alarm: Annotated[
        int,
        Meta(
            title="New accounts, alarm",
            description="New accounts an hour from which a warning is logged and counted. 0 switches it off.",
            ge=0,
        ),
    ] = 100
    new_accounts_cap: Annotated[
        int,
        Meta(
            title="New accounts, cap",
            description="New accounts an hour beyond which events that name a further one are discarded "
            "(too_many_new_accounts). 0 sets no cap.",
            ge=0,
        ),
    ] = 0

    def __post_init__(self) -> None:
        """
        Origins as browsers write them: scheme and host, lower case, no slash at the end; a lone `*` is the empty list.
        ValueError for what is none: it would fit no page, and so keep out all.
        """
        origins = tuple(one.strip().lower().rstrip("/") for one in self.origins)
        if origins == _ANY:
            origins = ()
        for one in origins:
            if not _ORIGIN.fullmatch(one):
                raise ValueError(
                    f"origins: {one[:100]!r} is no origin. Write it like https://app.example.com, with a port if "
                    "it has one and without a path; https://*.example.com for all below; a lone * for any."
                )
        force_setattr(self, "origins", origins)


class KeyEnd(Struct, frozen=True):
    """A write key that lets nobody in from `at` on, unix milliseconds."""

    key: str
    at: int


class Source(Struct, frozen=True, kw_only=True):
    """
    id          never used again after removal
    name        unique; letters, digits, `-`, `_`, `.`; at most 64
    write_keys  any of them lets an SDK in, oldest first; those that had ended when it was read are not among them
    key_ends    of the write keys that have an end, the ended ones too
    trouble     what of the stored settings cannot be used, in words, and has its default therefore; "" if nothing
    """

    id: int
    name: str
    write_keys: tuple[str, ...]
    created_at: int
    settings: SourceSettings = SourceSettings()
    trouble: str = ""
    key_ends: tuple[KeyEnd, ...] = ()

    def at(self, now: int) -> "Source":
        """As it is at this moment, unix milliseconds: without the write keys that have ended since it was read."""
        ended = {one.key for one in self.key_ends if one.at <= now}
        if ended.isdisjoint(self.write_keys):
            return self
        return replace(self, write_keys=tuple(key for key in self.write_keys if key not in ended))


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
    delivery          how it is delivered to, whatever its kind; of the same version
    changes           of its state, oldest first, never empty; the last one holds now
    """

    id: int
    name: str
    kind: str
    source: int
    settings: Struct
    settings_version: int
    changes: tuple[StateChange, ...]
    delivery: DeliverySettings = DeliverySettings()

    @property
    def state(self) -> DestinationState:
        return self.changes[-1].state


class BrowserDestination(Struct, frozen=True, kw_only=True):
    """
    What every visitor of a site may read of a destination that takes events. Made without its secrets.

    source  id of the source whose events it gets
    label   its exact name in an event's `integrations`
    says    what its kind says to browsers (Destination.browser), and `paused: true` while it is paused: its events are
            kept for it then, but nothing must be sent to it past us; None if its kind has nothing to say
    categories  of consent that it needs, all of them
    """

    source: int
    label: str
    says: Mapping[str, Any] | None
    categories: tuple[str, ...] = ()


class Command(Struct, frozen=True, kw_only=True):
    """
    Something a running server is asked to do, such as resending dead letters. It does so within 5 seconds.

    kind  "resend", "discard", "replay", "set_replay"; more will come
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

    Looked up by SHA-256 digest: how long it takes tells nothing about how much of a guess was right. Nor does it once a
    key was found: a dictionary compares texts only where all of their hashes, seeded at random, are equal.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = {_digest(key): source for source in sources for key in source.write_keys}
        self._ended = {
            _digest(one.key): source
            for source in sources
            for one in source.key_ends
            if one.key not in source.write_keys
        }
        self._found: dict[str, Source] = {}

    def source(self, write_key: str) -> Source | None:
        found = self._found.get(write_key)
        if found is None and (found := self._sources.get(_digest(write_key))) is not None:
            self._found[write_key] = found
        return found

    def ended(self, write_key: str) -> Source | None:
        """The source that had this key until it ended."""
        return self._ended.get(_digest(write_key))

    def used(self) -> set[str]:
        """
        The keys that were asked for since this was last called. It costs whoever asks nothing: what was found is
        remembered in any case, and only forgotten here.
        """
        found, self._found = self._found, {}
        return set(found)


def _digest(write_key: str) -> bytes:
    return sha256(write_key.encode("utf-8", "surrogatepass")).digest()
