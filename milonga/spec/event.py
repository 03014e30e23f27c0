"""What an event is, once it has been read: plain, frozen data that every later step of the road shares."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

JsonObject: TypeAlias = Mapping[str, Any]
"""An object of the sender's own making (traits, properties, context): any keys, any JSON values."""

AccountSource: TypeAlias = Literal["groupId", "context.groupId", "earlier group call"]
"""How an account was found (docs/how-it-works.md, "Which account"). The last way is a replay's: no log has it."""


class Account(Struct, frozen=True):
    """
    id     as the sender wrote it, never trimmed, shortened or changed in case; not empty
    found  which rule found it
    """

    id: str
    found: AccountSource


class Identify(Struct, frozen=True):
    """traits  of the user"""

    traits: JsonObject


class Group(Struct, frozen=True):
    """
    group_id  the account; None if absent or unusable
    traits    of the account
    """

    group_id: str | None
    traits: JsonObject


class Track(Struct, frozen=True):
    """
    name        what the user did (`event` on the wire); None if absent or empty
    properties  of the action
    """

    name: str | None
    properties: JsonObject


class Page(Struct, frozen=True):
    """
    name, category  as given at the top level of the event; None if absent or empty
    properties      of the page
    """

    name: str | None
    category: str | None
    properties: JsonObject


class Screen(Struct, frozen=True):
    """The same as a page, in a mobile app."""

    name: str | None
    category: str | None
    properties: JsonObject


class Alias(Struct, frozen=True):
    """previous_id  the id the user had before; None if absent or unusable"""

    previous_id: str | None


Call: TypeAlias = Identify | Group | Track | Page | Screen | Alias
EventType: TypeAlias = Literal["identify", "group", "track", "page", "screen", "alias"]


class Event(Struct, frozen=True, kw_only=True):
    """
    One call of an SDK.

    type          as on the wire; says which `call` it is
    call          what only this type has
    message_id    the sender's, or the one we gave it; None only outside the pipeline (`milonga translate`)
    user_id       non-empty text; a number on the wire is written out; None if absent or unusable
    anonymous_id  likewise
    account       whom it belongs to (milonga.identity.account); None if it does not say
    context       with the batch's own context merged in, the event winning key by key
    integrations  likewise
    timestamp     when it happened by our clock, unix milliseconds; None outside the pipeline
    received_at   when it arrived, unix milliseconds; None outside the pipeline
    source        id of the source it came from; None outside the pipeline
    received      the whole object as the sender wrote it (mended where it was no JSON), fields unknown to us included
    """

    type: EventType
    call: Call
    message_id: str | None
    user_id: str | None
    anonymous_id: str | None
    account: Account | None
    context: JsonObject
    integrations: JsonObject
    timestamp: int | None
    received_at: int | None
    received: JsonObject
    source: int | None = None
