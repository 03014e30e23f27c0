"""Sources, their write keys, and how SDKs are set up for them."""

from msgspec import Struct

from milonga.api.shapes.common import Moment
from milonga.workspace.model import SourceSettings


class Source(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where events come from."""

    id: int
    name: str
    write_keys: list[str]
    created_at: Moment
    destinations: list[str]
    settings: SourceSettings


class WriteKey(Struct, frozen=True, kw_only=True, rename="camel"):
    """One that lets senders of a source in."""

    source: str
    write_key: str


class KnownKey(Struct, frozen=True, kw_only=True, rename="camel"):
    """One of a source, and when it was last used, to the minute."""

    write_key: str
    created_at: Moment | None
    ends_at: Moment | None
    used_at: Moment | None
    in_force: bool


class ChangedKey(Struct, frozen=True, kw_only=True, rename="camel"):
    """The same, of a source."""

    source: str
    write_key: str
    created_at: Moment | None
    ends_at: Moment | None
    used_at: Moment | None
    in_force: bool


class KeyEnd(Struct, frozen=True, kw_only=True, rename="camel"):
    """When one that is exchanged ends."""

    write_key: str
    ends_at: Moment


class RotatedKeys(Struct, frozen=True, kw_only=True, rename="camel"):
    """The new one, and when the old ones end."""

    source: str
    write_key: str
    ends: list[KeyEnd]


class RemovedKey(Struct, frozen=True, kw_only=True, rename="camel"):
    """It lets nobody in any more."""

    source: str
    removed: str


class SetUpLine(Struct, frozen=True, kw_only=True, rename="camel"):
    """How one SDK is set up."""

    sdk: str
    text: str
    https_only: bool


class SetUp(Struct, frozen=True, kw_only=True, rename="camel"):
    """How senders are set up with one write key: snippet is for web pages, npm for those that bundle the SDK."""

    source: str
    write_key: str
    host: str
    snippet: str | None
    npm: str
    sdks: list[SetUpLine]
