"""An event while delivery has it in its hands."""

from collections.abc import Hashable
from enum import Enum

from milonga.delivery.store import Progress
from milonga.destinations.contract import Key, Requests
from milonga.eventlog.api import Position
from milonga.spec.stored import Stamped


class Stage(Enum):
    """
    loading    its bytes are being read again from the log
    waiting    behind another event in one of its lanes
    ready      first in all its lanes; goes out as soon as there is room
    delayed    tried; waits for its time
    flying     a request of it is under way
    recording  it has ended; its outcome is being written
    gone       no longer in memory: finished, or back among the parked
    """

    loading = "loading"
    waiting = "waiting"
    ready = "ready"
    delayed = "delayed"
    flying = "flying"
    recording = "recording"
    gone = "gone"


class Entry:
    """
    Mutable, one per event and destination, equal to itself only.

    stored       as the log holds it; None while loading
    keys         its ordering keys
    requests     translated with the settings of `version`
    version      of settings; 0: not translated yet
    since        unix seconds when it came into memory
    parked       True if its place among the parked is durable, or about to be: then it does not hold the watermark
    loaded       True if it was brought back from among the parked
    resent       True for a dead letter that was sent again
    failed       True once a try failed: from then on every try leaves a row
    counts_from  unix milliseconds from which its age counts
    size         bytes it weighs in memory, about
    holds_slot   True from sending until its outcome is recorded
    alone        True for the one request that is to find out whether a paused destination works again
    """

    __slots__ = (
        "alone",
        "counts_from",
        "failed",
        "holds_slot",
        "keys",
        "loaded",
        "next_at",
        "parked",
        "position",
        "progress",
        "received_at",
        "requests",
        "resent",
        "since",
        "size",
        "stage",
        "stored",
        "version",
    )

    def __init__(
        self, position: Position, keys: tuple[Key, ...], received_at: int, since: float, *, parked: bool = False
    ) -> None:
        self.position, self.keys, self.received_at, self.since, self.parked = position, keys, received_at, since, parked
        self.stored: Stamped | None = None
        self.requests: Requests = ()
        self.version = 0
        self.stage = Stage.waiting
        self.progress = Progress()
        self.next_at = 0.0
        self.failed = False
        self.holds_slot = False
        self.alone = False
        self.resent = False
        self.loaded = False
        self.counts_from = received_at
        self.size = 0

    @property
    def first_key(self) -> Hashable:
        """What makes two events different in the eyes of the breaker and of suspicion."""
        return self.keys[0] if self.keys else self.position
