"""
What the API's answers hold, declared for its description. The answers are made by milonga.facts, whose rows the command
line prints as JSON, too; a test holds the two together. What each thing means: docs/operate.md, docs/explain.md.
"""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, field

from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import SourceSettings

Moment: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Position(Struct, frozen=True, kw_only=True):
    """Where an event lies in the log."""

    partition: int
    offset: int


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


class Removed(Struct, frozen=True, kw_only=True, rename="camel"):
    """It is gone."""

    removed: str


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


class Attention(Struct, frozen=True, kw_only=True):
    """Something that needs somebody. page: of the console, where it is mended."""

    tone: Literal["bad", "warn"]
    title: str
    words: str
    page: str | None


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


class DestinationDetails(Struct, frozen=True, kw_only=True, rename="camel"):
    """A destination with its settings; secrets stand as ***."""

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


class Event(Struct, frozen=True, kw_only=True, rename="camel"):
    """One call of an SDK, as it is kept."""

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
    """What is kept of an account or a user, all in all. more: there is more than was counted."""

    account: str | None
    user: str | None
    events: int
    more: bool
    first_at: Moment | None
    last_at: Moment | None
    types: dict[str, int]
    destinations: list[SummaryAt]


class ArrivalCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one source sent. null: its write key is not known. Refused are requests, all others events."""

    source: str | None
    accepted: int
    duplicates: int
    discarded: int
    discarded_by_code: dict[str, int]
    refused: int
    refused_by_code: dict[str, int]


class Arrivals(Struct, frozen=True, kw_only=True, rename="camel"):
    """Of one stretch of time, from `at` on. what: accepted, duplicate, discarded or refused."""

    at: Moment
    source: str | None
    what: str
    code: str
    n: int


class Outcomes(Struct, frozen=True, kw_only=True, rename="camel"):
    """Of one stretch of time, from `at` on: events of a destination that ended so."""

    at: Moment
    destination: str
    state: str
    code: str
    events: int


class DiscardCount(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was not accepted, as far back as counts go."""

    source: str | None
    code: str
    events: int


class Discard(Struct, frozen=True, kw_only=True, rename="camel"):
    """A sample of what was not accepted. excerpt: its beginning."""

    at: Moment
    source: str | None
    code: str
    reason: str
    excerpt: str


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


class AskedFor(Struct, frozen=True, kw_only=True, rename="camel"):
    """A running server does so within 5 seconds: GET /commands/{command} tells of each. asked: things."""

    asked: int
    commands: list[int]


class Command(Struct, frozen=True, kw_only=True, rename="camel"):
    """done: result says what came of it, `error` in it why nothing did."""

    command: int
    done: bool
    result: dict[str, Any] | None


class Replay(Struct, frozen=True, kw_only=True, rename="camel"):
    """Events of the past, sent once more. left: still to be looked at; outcomes with `left`: not sent, by decision."""

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
    event: str | None
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
    """What a replay would send. send: events; requests: of them. docs/replay.md has all of it."""

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
    damaged: int
    examples: list[dict[str, Any]]


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


class Health(Struct, frozen=True, kw_only=True, rename="camel"):
    """How the server stands."""

    version: str
    server_running: bool
    disk: dict[str, Any] | None
    kept_since: Moment | None
    waiting: int
    suppressed: int


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


class Account(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom events belong to. name: that a group call gave; lastGroupAt: null if none named it, as far as remembered."""

    account: str
    name: str | None
    first_at: Moment
    last_at: Moment
    last_group_at: Moment | None


class Usage(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user, module or activity of an account."""

    name: str
    events: int
    first_at: Moment
    last_at: Moment


class AccountInFull(Account, frozen=True, kw_only=True, rename="camel"):
    """As far as the log goes back. usersExact: false where `users` is about so many; lists have 100 at most."""

    events: int
    users: int
    users_exact: bool
    newest_users: list[Usage]
    modules: list[Usage]
    activities: list[Usage]
    types: dict[str, int]


class SeenName(Struct, frozen=True, kw_only=True, rename="camel"):
    """A module or an activity. days: events of the last 14 days (UTC), today last; accounts: how many had it."""

    name: str
    events: int
    days: list[int]
    first_at: Moment
    last_at: Moment
    accounts: int
    accounts_exact: bool


class Advice(Struct, frozen=True, kw_only=True):
    """about: modules or activities; names: examples; count: of how many names it is true."""

    code: str
    about: str
    title: str
    words: str
    names: list[str]
    count: int


class NameableExample(Struct, frozen=True, kw_only=True, rename="camel"):
    """An event without account, and the earlier group call of its user."""

    event: Position
    group_call: Position


class WithoutAccount(Struct, frozen=True, kw_only=True, rename="camel"):
    """nameable: those whose user an earlier group call had put into an account."""

    events: int
    with_user: int
    nameable: int
    examples: list[NameableExample]


class Preview(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an event would become: the rules in order, the requests with secrets as ***, or why there are none."""

    event: dict[str, Any]
    rules: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    skip: dict[str, Any] | None
    notices: list[dict[str, Any]]


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
