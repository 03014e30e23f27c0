"""What a request turns out to hold: its events, each valid, and what was not accepted."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

from milonga.spec.discards import Rejected
from milonga.spec.event import EventType

Items: TypeAlias = Mapping[str, Raw]


class NotJson(ValueError):
    """Nothing in the body can be read as an event or a batch of events."""


class Envelope(Struct, frozen=True, kw_only=True):
    """
    What a batch says for all its events.

    sent_at       as the sender wrote it
    context       object, not empty, to be merged under each event's own; UNSET without
    integrations  likewise
    items         the members of `context`
    size          bytes of both
    """

    sent_at: str | None = None
    context: Raw | UnsetType = UNSET
    integrations: Raw | UnsetType = UNSET
    items: Items = {}
    size: int = 0


NO_ENVELOPE: Final = Envelope()


class Arrived(Struct, frozen=True, kw_only=True, gc=False):
    """
    An event that is valid.

    body          one JSON object in UTF-8, as the sender wrote it (mended if it was broken)
    message_id    as the sender wrote it, of any length; None if absent or unusable
    user_id, anonymous_id, group_id   text; None if absent or unusable
    context       members of its own `context`
    timestamp     as the sender wrote it; None if absent or not text or number
    sent_at       likewise; its own, else its batch's
    """

    type: EventType
    body: bytes
    message_id: str | None
    user_id: str | None
    anonymous_id: str | None
    group_id: str | None
    context: Items
    timestamp: str | None
    sent_at: str | None
    envelope: Envelope


class Decoded(Struct, frozen=True):
    """
    write_key  of the body, else of the first event that has one; None if nobody does
    events     in the order of the body
    """

    write_key: str | None
    events: list[Arrived]
    rejected: list[Rejected]
