"""How much one destination may use. One list for every number of the delivery side."""

from msgspec import Struct

from milonga.delivery.breaker import Policy
from milonga.delivery.retry import Backoff

DAY_MS = 86_400_000


class Limits(Struct, frozen=True, kw_only=True):
    """
    in_flight     events under way or being recorded, at most
    per_second    requests a second; None: no limit of ours
    timeout       seconds for one request
    window        events a reader looks at past its watermark
    window_bytes  bytes of them in memory
    lane          events that wait behind one key in memory; with more the line is parked on disk
    account       events of one account in memory or parked, about; with more it takes a detour through the log
    detours       of one destination, at most; accounts beyond them are parked, all their lines
    blocked       seconds after its first failure when an event and its lines are parked
    loaded        parked events in memory at once
    max_age       milliseconds an event is worth sending; stands still while the destination is paused
    pinned        milliseconds after which an undelivered event ends as expired, paused or not
    probe         seconds between two probes of a destination that is paused because of its settings; the first
                  comes at once after a start
    """

    in_flight: int = 64
    per_second: float | None = None
    timeout: float = 30.0
    window: int = 4_000
    window_bytes: int = 16 * 1024 * 1024
    lane: int = 100
    account: int = 1_000
    detours: int = 8
    blocked: float = 30.0
    loaded: int = 256
    max_age: int = DAY_MS
    pinned: int = 7 * DAY_MS
    probe: float = 60.0
    backoff: Backoff = Backoff()
    breaker: Policy = Policy()
