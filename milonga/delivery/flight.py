"""The flow of one event that is ready: its requests go out, their answers are judged, and it ends or waits."""

from collections.abc import Callable, Sequence
from functools import partial

import structlog
from msgspec.structs import replace

from milonga.delivery.answers import attempt_row, judged, told
from milonga.delivery.encode import outgoing
from milonga.delivery.ending import SWITCHED_OFF, TOO_LATE, TOO_OLD
from milonga.delivery.entry import Entry, Stage
from milonga.delivery.outgoing import NoAnswer, Reply
from milonga.delivery.parking import Parking
from milonga.delivery.recorder import Record
from milonga.delivery.retry import wait_before
from milonga.delivery.suspicion import ASK_AGAIN, Verdict
from milonga.delivery.work import Work
from milonga.destinations.contract import BadEvent, BadSettings, Delivered, Request, Skip, TryAgain
from milonga.outcomes.model import Attempt, State
from milonga.spec.event import Event
from milonga.spec.read import read_stamped
from milonga.workspace.model import DestinationState

log = structlog.get_logger("milonga.delivery")

TRANSLATE_FAILED = "translate_failed"
TOO_MANY = "http_429"
TIMEOUT = "timeout"  #: of NoAnswer


class Flights:
    """
    What goes out and comes back.

    guard  runs a callback and reports what it raises
    wake   called when there is room, or something to wait for, again
    """

    def __init__(self, work: Work, parking: Parking, guard: Callable[..., None], wake: Callable[[], None]) -> None:
        self._work, self._parking, self._endings = work, parking, parking.endings
        self._guard, self._wake = guard, wake
        self._oldest_next = False

    # Out

    def pump(self, now: float) -> None:
        """Send what can be sent now."""
        work = self._work
        work.line_up.wake(now)
        while work.is_sending:
            if not work.breaker.may_send(now, work.slots) or work.rate.wait(now) > 0.0:
                return
            entry = work.line_up.turns.take() if work.breaker.is_closed else self._probe(now)
            if entry is None:
                return
            self.send(entry)

    def _probe(self, now: float) -> Entry | None:
        """
        Whom to send to see whether the receiver is back. By turns the oldest, which may lack only one more try, and the
        next one: a single event that always fails must not make it look down. Slow accounts are asked last: the answer
        of one that hangs would be long in coming.
        """
        self._oldest_next = not self._oldest_next
        line_up = self._work.line_up
        next_ = None if self._oldest_next else line_up.turns.take(slow_last=True)
        return next_ or line_up.take_oldest(now)

    def send(self, entry: Entry) -> None:
        """Its next request goes out, whatever the limits say; or it ends."""
        work = self._work
        if work.too_old(entry.counts_from):
            return self._endings.end(entry, State.expired, TOO_OLD)
        if entry.version != work.config.settings_version and not self.translate(entry):
            return None
        if work.too_late(entry):
            return self._endings.end(entry, State.expired, TOO_LATE)
        done = entry.progress.parts
        request = next((r for r in entry.requests if r.part not in done), None)
        if request is None:
            return self._endings.deliver(entry)
        try:
            call = outgoing(request, timeout=work.limits.timeout, now=work.tools.clock())
        except Exception as error:
            log.exception("delivery.encode_failed", position=entry.position)
            return self._failed(entry, error)
        entry.stage = Stage.flying
        entry.sent_at = now = work.tools.clock()
        work.line_up.turns.hold(entry)
        work.rate.take(now)
        work.tools.sender.send(call, partial(self._guard, self._answered, entry, request))
        return None

    def translate(self, entry: Entry, event: Event | None = None) -> bool:
        """With the settings now in force; False if that ended it."""
        assert entry.stored is not None  # noqa: S101 - loaded before it is ready
        try:
            event = event or read_stamped(entry.stored)
            result = self._work.kind.translate(event, self._work.config.settings)
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

    # Back

    def _answered(self, entry: Entry, request: Request, reply: Reply, seconds: float) -> None:
        work = self._work
        now = work.tools.clock()
        ending = judged(reply, work.kind, request, now)
        if isinstance(reply, NoAnswer) and reply.code == TIMEOUT:
            work.line_up.turns.timed_out(entry.owner)
        else:
            work.line_up.turns.answered(entry.owner)
        if isinstance(ending, Delivered):
            work.vitals.delivered(now)
        else:
            work.vitals.failed(now, ending.code, ending.reason)
        attempts: list[Attempt] = []
        if entry.failed or not isinstance(ending, Delivered):
            row = attempt_row(work.config.id, entry.position, request, reply, ending, work.now_ms(), seconds)
            attempts.append(row)
            log.info("delivery.attempt", destination=work.config.name, **told(row))
        match ending:
            case Delivered():
                self._delivered(entry, request, attempts)
            case TryAgain():
                self._try_again(entry, ending, attempts, perhaps=isinstance(reply, NoAnswer) and reply.perhaps)
            case BadEvent(code, reason):
                self._receiver_is_up()
                entry.progress = replace(entry.progress, attempts=entry.progress.attempts + 1)
                self._endings.die(entry, code, reason, attempts)
            case BadSettings():
                self._refused(entry, ending, attempts)

    def _delivered(self, entry: Entry, request: Request, attempts: list[Attempt]) -> None:
        work = self._work
        self._receiver_is_up()
        for culprit in work.suspicion.success():
            if culprit is not entry and isinstance(culprit, Entry) and culprit.stage in (Stage.delayed, Stage.ready):
                self._endings.die(culprit, culprit.progress.code, culprit.progress.reason)
        probed, entry.alone = entry.alone, False
        progress = entry.progress
        parts = progress.parts | {request.part}
        if all(r.part in parts for r in entry.requests):
            entry.progress = replace(progress, parts=parts, attempts=progress.attempts + 1)
            self._endings.deliver(entry, attempts)
        else:
            entry.progress = replace(progress, parts=parts)
            self._go_on(entry, attempts)
        if probed and work.config.state is DestinationState.paused:
            work.ask_for(DestinationState.on, "probe", "A probe was delivered.")

    def _go_on(self, entry: Entry, attempts: Sequence[Attempt]) -> None:
        """A part was delivered, others are not yet: what was delivered is remembered beside the next one's flight."""
        work = self._work
        number, position, progress = work.config.id, entry.position, entry.progress
        entry.tracked = True
        work.tools.recorder.record(
            Record(before=lambda store: store.set_progress(number, position, progress), attempts=attempts)
        )
        now = work.tools.clock()
        if work.switched_off(entry.position, entry.resent_at):
            self._endings.end(entry, State.skipped, SWITCHED_OFF)
        elif work.is_sending and work.breaker.may_send(now, work.slots - 1) and work.rate.wait(now) == 0.0:
            self.send(entry)
        else:
            work.line_up.turns.release(entry)
            work.line_up.put_back(entry)
            self._wake()

    def _try_again(self, entry: Entry, ending: TryAgain, attempts: list[Attempt], *, perhaps: bool) -> None:
        work, now = self._work, self._work.tools.clock()
        counts = not entry.alone and work.breaker.is_closed
        entry.alone = False
        work.suspicion.forget(entry)  # what it says now is no refusal
        if work.breaker.failure(entry.owner, sent_at=entry.sent_at, now=now, dice=work.tools.dice()):
            log.warning("delivery.breaker_open", destination=work.config.name, code=ending.code)
        asked, progress, backoff = ending.wait, entry.progress, work.limits.backoff
        if ending.code == TOO_MANY:
            work.rate.hold(now + (min(asked, backoff.asked) if asked is not None else 1.0))
        tries = progress.attempts + progress.perhaps + 1
        pause = wait_before(tries, dice=work.tools.dice(), asked=asked, backoff=backoff)
        entry.progress = replace(
            progress,
            attempts=progress.attempts + (counts and not perhaps),
            perhaps=progress.perhaps + perhaps,
            next_at=entry.due(int((now + pause) * 1000)),
            not_before=0 if asked is None else int((now + min(asked, backoff.asked)) * 1000),
            code=ending.code,
            reason=ending.reason,
        )
        self._wait(entry, attempts)

    def _refused(self, entry: Entry, ending: BadSettings, attempts: list[Attempt]) -> None:
        """Perhaps the settings' fault, perhaps its own: it stays at hand until that is sure."""
        work = self._work
        if entry.resent_at and work.is_on:
            # Somebody tried whether it passes now. It does not, and that says nothing about the others.
            entry.progress = replace(entry.progress, attempts=entry.progress.attempts + 1)
            return self._endings.die(entry, ending.code, ending.reason, attempts)
        verdict = Verdict.wait
        if work.is_on:  # while it is paused because of its settings, a refusal says nothing about the event
            verdict = work.suspicion.refused(entry, entry.first_key, only_one=self._no_other_to_ask(entry))
        times = max(1, work.suspicion.times(entry))
        pause = wait_before(times, dice=1.0, asked=None, backoff=ASK_AGAIN)
        progress = entry.progress
        entry.progress = replace(
            progress,
            attempts=progress.attempts + (not entry.alone),
            next_at=int((work.tools.clock() + pause) * 1000),
            not_before=0,
            code=ending.code,
            reason=ending.reason,
        )
        entry.alone = False
        self._wait(entry, attempts, at_hand=True)
        if verdict is Verdict.pause:
            work.ask_for(DestinationState.paused, "settings", ending.reason)
        return None

    def _wait(self, entry: Entry, attempts: Sequence[Attempt], *, at_hand: bool = False) -> None:
        """It keeps its place and is tried again when its time comes. at_hand: it stays in memory until then."""
        work = self._work
        entry.failed = entry.tracked = True
        entry.trying_since = entry.trying_since or work.tools.clock()
        work.line_up.turns.release(entry)
        self._wake()
        number, position, progress = work.config.id, entry.position, entry.progress
        if work.switched_off(position, entry.resent_at):
            self._endings.end(entry, State.skipped, SWITCHED_OFF, attempts)
        elif entry.parked and not at_hand:
            self._parking.give_back(entry, progress, attempts)
        else:
            work.line_up.delay(entry, progress.due_at / 1000)
            work.tools.recorder.record(
                Record(before=lambda store: store.set_progress(number, position, progress), attempts=attempts)
            )

    # Small

    def _receiver_is_up(self) -> None:
        if self._work.breaker.success(self._work.tools.clock()):
            self.hurry()

    def hurry(self) -> None:
        """It works again, or is said to: whatever waits goes out as soon as the receiver allows."""
        number, now = self._work.config.id, self._work.now_ms()
        self._work.line_up.hurry()
        self._wake()
        self._work.tools.recorder.record(
            Record(before=lambda store: store.hurry(number, now), then=self._parking.lines.look_at_due)
        )

    def _no_other_to_ask(self, entry: Entry) -> bool:
        askable = (Stage.ready, Stage.flying, Stage.delayed, Stage.loading)
        return self._parking.lines.only(entry.keys) and not any(
            other is not entry and other.stage in askable and not self._work.suspicion.times(other)
            for other in self._work.line_up.everything()
        )
