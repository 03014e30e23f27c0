"""Users, tokens and what they did; and what is asked for about the users of others."""

from typing import Any

from msgspec import Struct

from milonga.api.shapes.common import Moment


class Regulation(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is asked for about users: to keep nothing more of them, to erase what there is, or both."""

    id: int
    kind: str
    status: str
    source: str | None
    users: int
    created_at: Moment
    delivery_at: Moment | None
    ended_at: Moment | None
    erased: dict[str, int]
    unreadable: list[str]
    trouble: str


class Suppression(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user of whom nothing is kept, at one source or (null) at all."""

    source: str | None
    regulation: int


class User(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user of the console. state: active, disabled, or invited: has not chosen a password yet."""

    name: str
    role: str
    state: str
    created_at: Moment


class InvitedUser(Struct, frozen=True, kw_only=True, rename="camel"):
    """path: where the user chooses a password, at the console's address; good once, for so many minutes."""

    name: str
    role: str
    state: str
    created_at: Moment
    path: str
    minutes: int


class Token(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a program comes in with. begins: its first characters, to tell tokens apart by."""

    name: str
    role: str
    begins: str
    created_at: Moment
    created_by: str
    ends_at: Moment | None
    used_at: Moment | None


class CreatedToken(Struct, frozen=True, kw_only=True, rename="camel"):
    """token: what is sent as `Authorization: Bearer TOKEN`; shown this once."""

    name: str
    role: str
    begins: str
    created_at: Moment
    created_by: str
    ends_at: Moment | None
    used_at: Moment | None
    token: str


class Revoked(Struct, frozen=True, kw_only=True, rename="camel"):
    """It lets nobody in any more."""

    revoked: str


class AuditEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """Who changed what. changes: field -> before and after, secrets as ***."""

    id: int
    at: Moment
    by: str
    what: str
    name: str
    changes: dict[str, dict[str, Any]]
