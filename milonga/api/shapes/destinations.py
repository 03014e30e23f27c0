"""Destinations, their settings and history, their kinds, and filters that are tried."""

from typing import Any

from msgspec import Struct, field

from milonga.api.shapes.common import Moment, Position
from milonga.workspace.delivery_settings import DeliverySettings


class Failure(Struct, frozen=True, kw_only=True, rename="camel"):
    """The last one of a destination."""

    at: Moment
    code: str
    reason: str


class Drain(Struct, frozen=True, kw_only=True, rename="camel"):
    """When what waits will be gone, if the last minutes go on."""

    is_: str = field(name="is")
    seconds: float | None
    says: str


class LastHour(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many ended in which way; and how long after their arrival half of the delivered came, and 99 of 100."""

    delivered: int
    skipped: int
    dead: int
    expired: int
    p50_ms: float | None
    p99_ms: float | None


class Destination(Struct, frozen=True, kw_only=True, rename="camel"):
    """A receiver of events, and how it stands. Removed ones, too: `state` says so."""

    id: int
    name: str
    kind: str
    source: str
    state: str
    since: Moment
    by: str
    reason: str
    missing: list[str]
    settings_version: int
    removed_at: Moment | None
    server_running: bool
    dead_letters: int
    waiting: int | None
    oldest_waiting_at: Moment | None
    last_delivered_at: Moment | None
    last_failure: Failure | None
    breaker: str | None
    breaker_until: Moment | None
    as_of: Moment | None
    drain: Drain | None


class SettingChange(Struct, frozen=True, kw_only=True, rename="camel"):
    """One setting; secrets stand as ***."""

    name: str
    label: str
    before: Any
    after: Any


class HistoryEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """A change of state (state, reason) or of settings (version, changed); `what` says which."""

    at: Moment
    by: str
    what: str
    state: str = ""
    reason: str = ""
    version: int = 0
    changed: list[str] = []
    changes: list[SettingChange] = []


class InForce(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a running delivery goes by the newest settings and state, as of `since`."""

    settings: bool
    state: bool
    since: Moment


class DestinationDetails(Destination, frozen=True, kw_only=True, rename="camel"):
    """A destination with its settings; secrets stand as ***."""

    last_hour: LastHour
    in_force: InForce | None
    settings: dict[str, Any]
    delivery: DeliverySettings
    history: list[HistoryEntry]


class Connection(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a test found. unproven: what no test can know."""

    reached: bool
    code: str
    says: str
    to_do: str
    unproven: str
    where: str
    address: str | None
    secure: bool
    certificate_ends: Moment | None
    seconds: float


class RemovedDestination(Struct, frozen=True, kw_only=True, rename="camel"):
    """It is gone, and so many dead letters with it."""

    removed: str
    id: int
    dead_letters: int


class Setting(Struct, frozen=True, kw_only=True, rename="camel"):
    """One that is declared: group `settings` is the kind's own, `delivery` of every destination."""

    name: str
    group: str
    label: str
    help: str
    type: str
    default: Any
    secret: bool
    required: bool


class DestinationKind(Struct, frozen=True, kw_only=True, rename="camel"):
    """A kind of destination, with its settings. before_replay: what to know before events go there once more."""

    kind: str
    label: str
    summary: str
    before_replay: str
    settings: list[Setting]


class FilterSeen(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one filter made of an event. met: null if that cannot be decided."""

    name: str
    met: bool | None
    why: str
    does: str


class Skip(Struct, frozen=True, kw_only=True, rename="camel"):
    """Why nothing is sent."""

    code: str
    fix: str


class FilterTrial(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the filters of a destination make of an event."""

    message_id: str | None
    type: str
    name: str | None
    filters: list[FilterSeen]
    skip: Skip | None
    event: dict[str, Any] | None


class FilterTally(Struct, frozen=True, kw_only=True, rename="camel"):
    """Events that met its condition, for which it could not be decided (why: of the last), and what it did."""

    name: str
    met: int
    unsure: int
    why: str
    dropped: int
    changed: int


class RecentEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """One of the newest."""

    position: Position
    received_at: Moment
    type: str
    name: str | None
    message_id: str | None


class CodeCount(Struct, frozen=True, kw_only=True, rename="camel"):
    """So many were kept back for this."""

    code: str
    events: int


class CodeExamples(Struct, frozen=True, kw_only=True, rename="camel"):
    """Some of them; code "": of what goes on."""

    code: str
    events: list[RecentEvent]


class RecentTrialFound(Struct, frozen=True, kw_only=True, rename="camel"):
    """What filters would make of the newest events of a source, back to `since`."""

    events: int
    since: Moment | None
    kept: int
    dropped: int
    codes: list[CodeCount]
    filters: list[FilterTally]
    examples: list[CodeExamples]
