"""Events, what became of them, and what one would become."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from milonga.api.shapes.common import Moment, Position


class OutcomeAt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of an event at one destination. state: also `never`, `unknown`, `waiting`, `retrying`."""

    destination: str
    state: str
    code: str


class FiledUnder(Struct, frozen=True, kw_only=True):
    """Under which account a replay sent an event that names none, and where."""

    account: str
    destination: str
    replay: int


class Event(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    One call of an SDK, as it is kept. outcomes: if asked for. filed: only of what names no account, and is listed
    because a replay filed it under the one that was asked for.
    """

    position: Position
    received_at: Moment
    timestamp: Moment
    source: str
    type: str
    name: str | None
    message_id: str | None
    user: str | None
    anonymous: str | None
    account: str | None
    outcomes: list[OutcomeAt] | UnsetType = UNSET
    filed: list[FiledUnder] | UnsetType = UNSET


class ReceivedEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """The same, as it arrived."""

    position: Position
    received_at: Moment
    timestamp: Moment
    source: str
    type: str
    name: str | None
    message_id: str | None
    user: str | None
    anonymous: str | None
    account: str | None
    sender: str | None
    event: dict[str, Any]
    batch: dict[str, Any] | None


class Story(Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of an event, at each destination. docs/explain.md has all of it."""

    message_id: str | None
    type: str
    name: str | None
    source: str
    position: Position
    received_at: Moment
    timestamp: Moment
    original_timestamp: str | None
    user_id: str | None
    anonymous_id: str | None
    account: dict[str, Any] | None
    erased: dict[str, Any] | None
    event: dict[str, Any]
    batch: dict[str, Any] | None
    destinations: list[dict[str, Any]]


class OutcomeCount(Struct, frozen=True, kw_only=True, rename="camel"):
    """So many ended so."""

    state: str
    code: str
    events: int


class SummaryAt(Struct, frozen=True, kw_only=True, rename="camel"):
    """At one destination."""

    destination: str
    id: int
    removed_at: Moment | None
    outcomes: list[OutcomeCount]


class Summary(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    What is kept of an account or a user, all in all. more: there is more than was counted. filed: events that name no
    account, and that replays filed under this one. looked: of so many of the newest it is told what became of them.
    """

    account: str | None
    user: str | None
    events: int
    more: bool
    filed: int
    first_at: Moment | None
    last_at: Moment | None
    types: dict[str, int]
    looked: int
    destinations: list[SummaryAt]


class DiscardCount(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was not accepted, as far back as counts go."""

    source: str | None
    code: str
    events: int


class Discard(Struct, frozen=True, kw_only=True, rename="camel"):
    """A sample of what was not accepted. excerpt: its beginning, … where it was cut."""

    at: Moment
    source: str | None
    code: str
    reason: str
    excerpt: str


class Preview(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an event would become: the rules in order, the requests with secrets as ***, or why there are none."""

    event: dict[str, Any]
    rules: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    skip: dict[str, Any] | None
    notices: list[dict[str, Any]]
