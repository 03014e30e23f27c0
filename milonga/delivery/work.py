"""What the parts of one runner share: settings, limits, the events in its hands, what it knows of the receiver."""

from collections.abc import Callable, Sequence

import structlog

from milonga.delivery.breaker import Breaker
from milonga.delivery.clock import Skips, skipped_within
from milonga.delivery.detours import Detours
from milonga.delivery.entry import Entry
from milonga.delivery.health import Vitals
from milonga.delivery.limits import Limits
from milonga.delivery.line_up import LineUp
from milonga.delivery.ratelimit import RateLimit
from milonga.delivery.replay_rows import Joined
from milonga.delivery.superseding import without_newer
from milonga.delivery.suspicion import Suspicion
from milonga.delivery.switching import Fate, fate, paused_within, spans
from milonga.delivery.tools import Tools
from milonga.destinations.contract import Destination, Requests, Skip
from milonga.destinations.deciding import as_replayed, decide
from milonga.eventlog.api import Offset, Position
from milonga.privacy.subject import users_of_stamped
from milonga.spec.event import Event
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationConfig, DestinationState

log = structlog.get_logger("milonga.delivery")

UNSURE_AGAIN = 60.0  #: seconds between two warnings that a filter cannot be decided


class Work:
    """
    live      events in memory that are not parked, the oldest first while there is no detour: they hold a watermark
    detours   of accounts that flood
    skips     what the clock has left out when it was set
    replayed  events on their way for a replay: they are parked, or about to be
    steady_since  unix milliseconds: since then it was on, under these settings, and not down for everybody
    stopping  nothing is sent any more
    asked     the state the pipeline has asked the workspace for; None once it is in force, or something newer is
    """

    def __init__(self, config: DestinationConfig, kind: Destination, tools: Tools, limits: Limits) -> None:
        self.config, self.kind, self.tools, self.limits = config, kind, tools, limits
        self.gate = config.delivery.gate
        self.line_up = LineUp(config.delivery.concurrency)
        self.detours = Detours(limits.detours)
        self.live: dict[Position, Entry] = {}
        self.breaker = Breaker(limits.breaker)
        self.rate = RateLimit(config.delivery.rate_limit)
        self.suspicion = Suspicion()
        self.vitals = Vitals(tools.reader.health(config.id))
        self.skips: Skips = tools.skips
        self.replayed: dict[Position, Joined] = tools.reader.replays.joined(config.id)
        self.on_left_replay: Callable[[], None] | None = None
        self.steady_since = self.now_ms()
        self.stopping = False
        self.asked: DestinationState | None = None
        self._spans: dict[int, list[tuple[Offset, Offset | None]]] = {}
        self._unsure_at: dict[str, float] = {}

    @property
    def slots(self) -> int:
        """Events under way or being recorded."""
        return self.line_up.turns.used

    @property
    def is_on(self) -> bool:
        return self.config.state is DestinationState.on and self.asked is None

    @property
    def is_sending(self) -> bool:
        return self.is_on and not self.stopping and self.tools.has_room()

    def replay_of(self, position: Position) -> int:
        """The number of the replay this event is on its way for; 0: none."""
        joined = self.replayed.get(position)
        return 0 if joined is None else joined.replay

    def left_replay(self, position: Position) -> None:
        """Its end is recorded."""
        if self.replayed.pop(position, None) is not None and self.on_left_replay is not None:
            self.on_left_replay()

    def is_resent(self, entry: Entry) -> bool:
        """Whether somebody tries a dead letter again: how that ends says nothing about other events."""
        return bool(entry.resent_at) and entry.position not in self.replayed

    def now_ms(self) -> int:
        return int(self.tools.clock() * 1000)

    def reconfigure(self, config: DestinationConfig) -> None:
        if config != self.config:
            self.steady_since = self.now_ms()
        self.config, self.asked = config, None
        self.gate = config.delivery.gate
        self._spans.clear()
        self.line_up.turns.resize(config.delivery.concurrency)
        self.rate.set(config.delivery.rate_limit, self.tools.clock())
        self._unsure_at.clear()

    def decide(self, entry: Entry, event: Event) -> Requests | Skip:
        """
        What the event becomes with the settings in force; of a replayed one without what newer ones had set when it
        joined. Raises what a broken translation raises.
        """
        joined = self.replayed.get(entry.position)
        if joined is not None:
            event = as_replayed(self.kind, event)
        result = decide(self.kind, event, self.config.settings, self.gate, self._unsure)
        if joined is None or isinstance(result, Skip):
            return result
        return without_newer(self.kind, event, result, joined.left_out.__contains__)[0]

    def _unsure(self, name: str, why: str) -> None:
        """A filter has no answer for an event; what it kept back says so itself, what it masked says it here."""
        now = self.tools.clock()
        if now >= self._unsure_at.get(name, 0.0):
            self._unsure_at[name] = now + UNSURE_AGAIN
            log.warning("delivery.filter_unsure", destination=self.config.name, filter=name, reason=why)

    def ask_for(self, state: DestinationState, by: str, reason: str) -> None:
        """Until the workspace answers, or changes otherwise, nothing more is sent."""
        log.warning("delivery.state", destination=self.config.name, state=state.value, by=by, reason=reason)
        self.asked = state
        self.tools.change_state(self.config.id, state, by, reason)

    def spans(self, partition: int) -> Sequence[tuple[Offset, Offset | None]]:
        """In which stretches of the log the destination takes events (milonga.delivery.switching)."""
        if partition not in self._spans:
            self._spans[partition] = spans(self.config.changes, partition)
        return self._spans[partition]

    def switched_off(self, position: Position, resent_at: int) -> bool:
        """Whether the destination was switched off since this event came, or was resent (unix ms; 0: it was not)."""
        if resent_at:
            return any(c.state is DestinationState.off and c.at >= resent_at for c in self.config.changes)
        return fate(self.spans(position.partition), position.offset) is not Fate.deliver

    def too_old(self, counts_from: int) -> bool:
        """counts_from  unix milliseconds"""
        now, most = self.now_ms(), self.max_age
        age = now - counts_from - skipped_within(self.skips, counts_from, now)
        if age <= most:
            return False
        if not self.tools.in_step():
            return False  # by which clock did it come?
        if age > self.limits.pinned:
            return True
        return age - paused_within(self.config.changes, counts_from, now) > most

    @property
    def max_age(self) -> int:
        """Milliseconds."""
        return self.config.delivery.max_age * 1000

    def tried_until(self, failing_since: int) -> int:
        """
        When an event that fails since then is given up, unix milliseconds; 0 if only its age counts. Time in which the
        destination was paused, or down for everybody, or in which nobody was there to try, starts the window anew: such
        failures say nothing of the event.
        """
        window = self.config.delivery.retry_window * 1000
        return max(failing_since, self.steady_since) + window if window else 0

    def until(self, event: Event) -> int:
        """When it is not worth sending any more (unix milliseconds), if that is its destination's own rule; else 0."""
        seconds = self.kind.lifetime(event, self.config.settings)
        if seconds is None or event.received_at is None:
            return 0
        happened = event.received_at if event.timestamp is None else min(event.timestamp, event.received_at)
        return max(1, happened + int(seconds * 1000))

    def is_doomed(self, event: Stamped | None, position: Position) -> bool:
        """Whether its user is being deleted (milonga.privacy)."""
        doomed = self.tools.doomed()
        if not doomed or event is None:
            return False
        return doomed.by(users_of_stamped(event), event.stamp.source, *position) is not None

    def too_late(self, entry: Entry) -> bool:
        return 0 < entry.until < self.now_ms() and self.tools.in_step()
