"""
The flow of events that are ready: their requests go out, the answers are judged, and each event ends or waits. One
event a request, or several where the destination takes batches (milonga.delivery.batching).
"""

from collections.abc import Callable
from functools import partial

import structlog

from milonga.delivery.batching import Aboard, Gathering, Load, aboard, gathered, whole
from milonga.delivery.encode import outgoing
from milonga.delivery.ending import TOO_LATE, TOO_OLD, USER_DELETED
from milonga.delivery.entry import Entry, Stage
from milonga.delivery.landing import Landings
from milonga.delivery.outgoing import Reply
from milonga.delivery.parking import Parking
from milonga.delivery.work import Work
from milonga.destinations.contract import Skip
from milonga.outcomes.model import State
from milonga.spec.event import Event
from milonga.spec.read import read_stamped

log = structlog.get_logger("milonga.delivery")

TRANSLATE_FAILED = "translate_failed"
AT_ONCE = 64  #: requests that go out in one turn of the loop: whoever comes meanwhile waits as long as these take


class Flights:
    """
    What goes out; `landings` has what comes back.

    guard  runs a callback and reports what it raises
    wake   called when there is room, or something to wait for, again
    """

    def __init__(self, work: Work, parking: Parking, guard: Callable[..., None], wake: Callable[[], None]) -> None:
        self._work, self._parking, self._endings = work, parking, parking.endings
        self._guard, self._wake = guard, wake
        self.landings = Landings(work, parking, self.send, wake)
        self._oldest_next = False
        self._batching = work.kind.batch
        self._gathering = None if self._batching is None else Gathering(self._batching)
        self._under_way = 0  # requests without an answer

    def pump(self, now: float, most: int = AT_ONCE) -> None:
        """Send what can be sent now, `most` at once; the rest follows in the loop's next turns."""
        work = self._work
        work.line_up.wake(now)
        for _ in range(most):
            if not work.is_sending:
                return
            if not work.breaker.may_send(now, work.slots) or work.rate.wait(now) > 0.0:
                return
            together = self._gathering if work.breaker.is_closed else None
            if together is not None and together.goes_on(work.line_up.turns.waiting, self._under_way, now):
                return
            entry = work.line_up.turns.take() if work.breaker.is_closed else self._probe(now)
            if entry is None:
                return
            self.send(entry, in_company=together is not None)
        self._wake()  # there may be more

    @property
    def leaves_at(self) -> float | None:
        """When a batch that is being gathered leaves in any case (unix seconds)."""
        return None if self._gathering is None else self._gathering.until

    def clock_set(self, seconds: float) -> None:
        if self._gathering is not None:
            self._gathering.clock_set(seconds)

    def _probe(self, now: float) -> Entry | None:
        """
        Whom to send to see whether the receiver is back. By turns the oldest, which may lack only one more try, and one
        that has not failed yet, else the next one: events that always fail must not make it look down, however many
        they are. Slow accounts are asked last: the answer of one that hangs would be long in coming.
        """
        self._oldest_next = not self._oldest_next
        line_up = self._work.line_up
        next_ = None if self._oldest_next else line_up.take_fresh() or line_up.turns.take(slow_last=True)
        return next_ or line_up.take_oldest(now)

    def send(self, entry: Entry, *, in_company: bool = False) -> None:
        """Its next request goes out, whatever the limits say; or it ends. in_company: with others, if it may."""
        first = self._next_of(entry)
        if first is None:
            return
        if in_company and self._batching is not None:
            self._fly(gathered(first, self._batching, self._work.line_up.turns, self._next_of))
        else:
            self._fly((first,))

    def _next_of(self, entry: Entry) -> Aboard | None:
        """What goes out of it now; None if it ended instead."""
        work = self._work
        if work.is_doomed(entry.stored, entry.position):
            self._endings.end(entry, State.skipped, USER_DELETED)
            return None
        if work.too_old(entry.counts_from):
            self._endings.end(entry, State.expired, TOO_OLD)
            return None
        if entry.version != work.config.settings_version and not self.translate(entry):
            return None
        if work.too_late(entry):
            self._endings.end(entry, State.expired, TOO_LATE)
            return None
        try:
            found = aboard(entry, self._batching)
        except Exception as error:
            log.exception("delivery.encode_failed", position=entry.position)
            self._failed(entry, error)
            return None
        if found is None:
            self._endings.deliver(entry)
        return found

    def _fly(self, load: Load) -> None:
        work = self._work
        try:
            call = outgoing(whole(load, self._batching), timeout=work.config.delivery.timeout, now=work.tools.clock())
        except Exception as error:
            log.exception("delivery.encode_failed", position=load[0].entry.position, batch=len(load))
            if len(load) == 1:
                return self._failed(load[0].entry, error)
            return self.landings.send_apart(load, 1)
        now = work.tools.clock()
        for one in load:
            one.entry.stage, one.entry.sent_at = Stage.flying, now
        work.line_up.turns.hold(load[0].entry)
        work.rate.take(now)
        self._under_way += 1
        work.tools.sender.send(call, partial(self._guard, self._answered, load))
        return None

    def _answered(self, load: Load, reply: Reply, seconds: float) -> None:
        self._under_way -= 1
        self.landings.answered(load, reply, seconds)
        if self._gathering is not None:
            self._wake()  # what was being gathered need not wait for this one any more

    def translate(self, entry: Entry, event: Event | None = None) -> bool:
        """With the settings now in force; False if that ended it."""
        assert entry.stored is not None  # noqa: S101 - loaded before it is ready
        try:
            event = event or read_stamped(entry.stored)
            result = self._work.decide(entry, event)
            entry.until = self._work.until(event)
        except Exception as error:
            log.exception("delivery.translate_failed", position=entry.position)
            self._failed(entry, error)
            return False
        entry.version = self._work.config.settings_version
        if isinstance(result, Skip):
            self._endings.end(entry, State.skipped, result.code)
            return False
        entry.requests = result
        return True

    def _failed(self, entry: Entry, error: Exception) -> None:
        reason = f"{type(error).__name__} in the translation: please report this."
        self._endings.die(entry, TRANSLATE_FAILED, reason)
