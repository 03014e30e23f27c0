"""What needs somebody: dead letters, parked keys, reasons; and replays."""

from typing import Any, Literal

from msgspec import Struct, field

from milonga.api.shapes.common import Moment, Position
from milonga.api.shapes.events import OutcomeCount


class Attention(Struct, frozen=True, kw_only=True):
    """Something that needs somebody, now (bad) or soon (warn). page: of the console, where it is mended."""

    severity: Literal["bad", "warn"]
    title: str
    words: str
    page: str | None


class DeadLetter(Struct, frozen=True, kw_only=True, rename="camel"):
    """An event that a destination refused for good. event: as it arrived, if asked for."""

    destination: str
    position: Position
    died_at: Moment
    code: str
    reason: str
    type: str
    name: str | None
    message_id: str | None
    user: str | None
    account: str | None
    received_at: Moment
    event: dict[str, Any] | None = None


class DeadLetterCount(Struct, frozen=True, kw_only=True, rename="camel"):
    """So many were refused with one code."""

    destination: str
    code: str
    count: int


class ParkedKey(Struct, frozen=True, kw_only=True, rename="camel"):
    """A line that does not move, and what waits first behind it."""

    key: list[str]
    account: str
    user: str | None
    waiting: int
    since: Moment
    parked_at: Moment
    first: Position
    attempts: int
    code: str
    reason: str
    next_try: Moment | None


class ParkedEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    An event that waits behind a parked key, with its own tries. type to account: null if it has left the log. event: as
    it will be sent, if asked for.
    """

    destination: str
    position: Position
    key: list[str]
    parked_at: Moment
    attempts: int
    code: str
    reason: str
    next_try: Moment | None
    type: str | None
    name: str | None
    message_id: str | None
    user: str | None
    account: str | None
    received_at: Moment
    event: dict[str, Any] | None = None


class ParkedReason(Struct, frozen=True, kw_only=True, rename="camel"):
    """So many keys wait for one reason."""

    code: str
    reason: str
    keys: int


class ParkedCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is parked of one destination. exact: whether `byReason` counts all keys that failed."""

    destination: str
    keys: int
    events: int
    by_reason: list[ParkedReason]
    exact: bool


class Replay(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    Events of the past, sent once more. chosen: how many places of the log were named; null: all that fit. left: still
    to be looked at; outcomes with `left`: not sent, by decision.
    """

    replay: int
    destination: str
    state: str
    reason: str
    asked_at: Moment
    by: str
    ended_at: Moment | None
    from_: Moment = field(name="from")
    to: Moment
    type: str | None
    account: str | None
    user: str | None
    event: str | None
    code: str | None
    chosen: int | None
    find_accounts: bool
    rate: float
    overwrite: bool
    left: int | None
    on_their_way: int
    gone: int
    outcomes: list[OutcomeCount]
    waits_for: str


class RehearsedFate(Struct, frozen=True, kw_only=True, rename="camel"):
    """So many events: what became of them the first time, and what would now."""

    first: str
    first_code: str
    now: str
    code: str
    events: int


class FieldCount(Struct, frozen=True, kw_only=True, rename="camel"):
    """Of so many events a request would differ there."""

    field: str
    events: int


class Rehearsal(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    What a replay would send. send: events; requests: of them; filed: events under an account that they do not name
    themselves; several: left without, since their users are in more than one. docs/replay.md has all of it.
    """

    destination: str
    from_: Moment = field(name="from")
    to: Moment
    kept_since: Moment | None
    looked: int
    events: int
    send: int
    requests: int
    types: dict[str, int]
    outcomes: list[RehearsedFate]
    fields: list[FieldCount]
    left_out: int
    filed: int
    several: int
    damaged: int
    examples: list[dict[str, Any]]


class Since(Struct, frozen=True, kw_only=True, rename="camel"):
    """A later end of the same event."""

    state: str
    code: str
    ended_at: Moment


class ProblemReason(Struct, frozen=True, kw_only=True, rename="camel"):
    """So much was not delivered for one reason. kept: dead letters that wait for a decision."""

    destination: str
    state: str
    code: str
    why: str
    fix: str
    fix_at: dict[str, Any] | None
    trend: dict[str, Any]
    kept: int


class Example(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    An event that ended so. since: what became of it after that, null if nothing did; type and all below: null if the
    event has left the log.
    """

    position: Position
    ended_at: Moment
    received_at: Moment
    since: Since | None
    type: str | None
    name: str | None
    user: str | None
    account: str | None
    message_id: str | None
