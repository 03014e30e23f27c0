"""
How much one destination may use, as far as nobody sets it: one list for every such number of the delivery side. What
users set is milonga.workspace.delivery_settings.
"""

from msgspec import Struct

from milonga.delivery.breaker import Policy
from milonga.delivery.retry import Backoff

DAY_MS = 86_400_000


class Limits(Struct, frozen=True, kw_only=True):
    """
    window        events a reader looks at past its watermark
    window_bytes  bytes of them in memory
    lane          events that wait behind one key in memory; with more the line is parked on disk
    account       events of one account in memory or parked, about; with more it takes a detour through the log
    detours       of one destination, at most; accounts beyond them are parked, all their lines
    blocked       seconds after its first failure when an event and its lines are parked
    loaded        parked events in memory at once
    pinned        milliseconds after which an undelivered event ends as expired, paused or not
    probe         seconds between two probes of a destination that is paused because of its settings; the first
                  comes at once after a start
    """

    window: int = 4_000
    window_bytes: int = 16 * 1024 * 1024
    lane: int = 100
    account: int = 1_000
    detours: int = 8
    blocked: float = 30.0
    loaded: int = 256
    pinned: int = 7 * DAY_MS
    probe: float = 60.0
    backoff: Backoff = Backoff()
    breaker: Policy = Policy()
