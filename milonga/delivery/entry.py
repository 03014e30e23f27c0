"""An event while delivery has it in its hands."""

from collections.abc import Hashable
from enum import Enum

from msgspec.structs import replace

from milonga.delivery.rows import Progress
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
    recording  it has ended, or goes back to disk; that is being written
    gone       not in the line-up
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

    stored     as the log holds it; None while loading
    keys       its ordering keys
    requests   translated with the settings of `version`
    version    of settings; 0: not translated yet
    until      unix milliseconds, as its destination's lifetime says with these settings: not sent later; 0: no such end
    stage      see Stage
    number     in order of joining the line-up
    progress   as of now; durable if `tracked` (what came since the last write aside)
    tracked    True if there is, or may be, a row of its progress
    failed     True once a try failed: from then on every try leaves a row
    next_at    unix seconds: not before
    sent_at    unix seconds when its last request went out
    trying_since  unix seconds of its first failure in memory; 0.0: none
    parked     True if its place among the parked is durable, or about to be: then it does not hold the watermark
    loaded     True if it was brought back from among the parked
    resent_at  unix milliseconds when it was resent as a dead letter; 0: it was not
    size       bytes it weighs in memory, about
    holds_slot True from sending until its outcome is recorded
    skipped_by who wants it skipped unless the request that is under way delivers it; "": nobody
    alone      True for the one request that is to find out whether a paused destination works again
    company    of how many events, itself included, its next request may be at most; 0: as many as its destination takes
    """

    __slots__ = (
        "alone",
        "company",
        "failed",
        "holds_slot",
        "keys",
        "loaded",
        "next_at",
        "number",
        "parked",
        "position",
        "progress",
        "received_at",
        "requests",
        "resent_at",
        "sent_at",
        "size",
        "skipped_by",
        "stage",
        "stored",
        "tracked",
        "trying_since",
        "until",
        "version",
    )

    def __init__(self, position: Position, received_at: int, keys: tuple[Key, ...] = ()) -> None:
        self.position, self.received_at, self.keys = position, received_at, keys
        self.stored: Stamped | None = None
        self.requests: Requests = ()
        self.version = self.until = 0
        self.stage = Stage.gone
        self.number = 0
        self.progress = NOTHING_YET
        self.tracked = self.failed = False
        self.next_at = self.sent_at = self.trying_since = 0.0
        self.parked = self.loaded = self.holds_slot = self.alone = False
        self.resent_at = 0
        self.size = self.company = 0
        self.skipped_by = ""

    @property
    def first_key(self) -> Hashable:
        """What makes two events different in the eyes of suspicion."""
        return self.keys[0]

    @property
    def owner(self) -> str:
        """The account, or what stands for it: with it every key begins."""
        return self.keys[0][0] if self.keys else ""

    @property
    def counts_from(self) -> int:
        """Unix milliseconds from which its age counts."""
        return self.resent_at or self.received_at

    def due(self, at: int) -> int:
        """When to look at it again if not before `at`, unix milliseconds: it holds up no line beyond its own end."""
        return min(at, self.until + 1) if self.until else at

    def resume(self, progress: Progress) -> None:
        """It was tried before it came into memory this time."""
        self.progress, self.tracked, self.failed = progress, True, bool(progress.code)
        self.next_at = progress.due_at / 1000

    def clock_set(self, seconds: float, milliseconds: int) -> None:
        """Its waits move with the clock, and since when it waits."""
        self.next_at = self.next_at and self.next_at + seconds
        self.sent_at = self.sent_at and self.sent_at + seconds
        self.trying_since = self.trying_since and self.trying_since + seconds
        if self.failed:
            was = self.progress
            self.progress = replace(
                was,
                next_at=was.next_at + milliseconds,
                not_before=was.not_before and was.not_before + milliseconds,
                failing_since=was.failing_since and was.failing_since + milliseconds,
            )

    def hold(self, stored: Stamped) -> None:
        """Its bytes are here."""
        self.stored, self.size = stored, 2 * len(stored.body) + 1_000


NOTHING_YET = Progress()
UNDER_WAY = (Stage.flying, Stage.recording)
