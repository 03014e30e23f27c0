"""What comes back: an answer is judged once, and each event that it stands for ends, waits, or goes out again."""

from collections.abc import Callable, Sequence
from functools import partial

import structlog
from msgspec.structs import replace

from milonga.delivery.answers import attempt_row, judged, told, wordless
from milonga.delivery.batching import TIMEOUT, Aboard, Load, apart
from milonga.delivery.ending import SKIPPED_BY_HAND, SWITCHED_OFF, TRIED_TOO_LONG, skip_row
from milonga.delivery.entry import Entry, Stage
from milonga.delivery.outgoing import NoAnswer, Reply
from milonga.delivery.parking import Parking
from milonga.delivery.recorder import Record
from milonga.delivery.retry import wait_before
from milonga.delivery.suspicion import ASK_AGAIN, Verdict
from milonga.delivery.work import Work
from milonga.destinations.contract import BadEvent, BadSettings, Delivered, Ending, Request, TryAgain
from milonga.outcomes.model import Attempt, State
from milonga.workspace.model import DestinationState

log = structlog.get_logger("milonga.delivery")

TOO_MANY = "http_429"

Landed = Sequence[tuple[Aboard, Sequence[Attempt]]]
"""What came back together, and the rows to keep of each."""


class Landings:
    """
    send  lets an event go on with its next request
    wake  called when there is room, or something to wait for, again
    """

    def __init__(self, work: Work, parking: Parking, send: Callable[[Entry], None], wake: Callable[[], None]) -> None:
        self._work, self._parking, self._endings = work, parking, parking.endings
        self._send, self._wake = send, wake
        self._batches = work.kind.batch is not None

    def answered(self, load: Load, reply: Reply, seconds: float) -> None:
        """The first of the load comes last: while it holds its slot the others are under way."""
        work, first = self._work, load[0]
        now = work.tools.clock()
        ending = judged(reply, work.kind, first.request, now)
        if isinstance(reply, NoAnswer) and reply.code == TIMEOUT:
            if len(load) == 1:
                work.line_up.turns.timed_out(first.entry.owner)
        else:
            for one in load:
                work.line_up.turns.answered(one.entry.owner)
        if any(work.is_doomed(one.entry.stored, one.entry.position) for one in load):
            reply, ending = wordless(reply, ending)
        if isinstance(ending, Delivered):
            work.vitals.delivered(now)
        else:
            work.vitals.failed(now, ending.code, ending.reason)
        tell = partial(self._row, reply=reply, ending=ending, seconds=seconds, batch=len(load))
        if first.entry.failed or not isinstance(ending, Delivered):
            log.info("delivery.attempt", destination=work.config.name, **told(tell(first)))
        landed = [
            (one, [tell(one)] if one.entry.failed or not isinstance(ending, Delivered) else []) for one in load[::-1]
        ]
        match ending:
            case Delivered():
                for one, attempts in landed:
                    self._delivered(one.entry, one.request, attempts)
            case TryAgain():
                perhaps = isinstance(reply, NoAnswer) and reply.perhaps
                self._try_again(first.entry, ending, landed, perhaps=perhaps)
            case _ if len(load) > 1:
                self._refused_together(ending, landed)
            case BadEvent(code, reason):
                self._receiver_is_up()
                first.entry.progress = replace(first.entry.progress, attempts=first.entry.progress.attempts + 1)
                self._endings.die(first.entry, code, reason, landed[0][1])
            case BadSettings():
                self._refused(first.entry, ending, landed[0][1])

    def _row(self, one: Aboard, *, reply: Reply, ending: Ending, seconds: float, batch: int) -> Attempt:
        work = self._work
        return attempt_row(
            work.config.id, one.entry.position, one.request, reply, ending, work.now_ms(), seconds, batch
        )

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
        elif (
            not self._batches
            and work.is_sending
            and work.breaker.may_send(now, work.slots - 1)
            and work.rate.wait(now) == 0.0
        ):
            self._send(entry)
        else:
            work.line_up.turns.release(entry)
            work.line_up.put_back(entry)
            self._wake()

    def _try_again(self, first: Entry, ending: TryAgain, landed: Landed, *, perhaps: bool) -> None:
        work, now = self._work, self._work.tools.clock()
        counts = not first.alone and work.breaker.is_closed
        # A parked event that fails again says nothing of the receiver: it was parked because others were delivered.
        is_news = not (first.loaded and first.failed and work.breaker.is_closed)
        if is_news and work.breaker.failure(first.owner, sent_at=first.sent_at, now=now, dice=work.tools.dice()):
            log.warning("delivery.breaker_open", destination=work.config.name, code=ending.code)
        asked, backoff = ending.wait, work.limits.backoff
        if ending.code == TOO_MANY:
            work.rate.hold(now + (min(asked, backoff.asked) if asked is not None else 1.0))
        dice = work.tools.dice()  # one for all, so that those of a batch meet again
        for one, attempts in landed:
            self._later(one.entry, ending, attempts, counts=counts, perhaps=perhaps, dice=dice)

    def _later(
        self, entry: Entry, ending: TryAgain, attempts: Sequence[Attempt], *, counts: bool, perhaps: bool, dice: float
    ) -> None:
        work, now = self._work, self._work.tools.clock()
        entry.alone = False
        work.suspicion.forget(entry)  # what it says now is no refusal
        asked, progress, backoff = ending.wait, entry.progress, work.limits.backoff
        tries = progress.attempts + progress.perhaps + 1
        pause = wait_before(tries, dice=dice, asked=asked, backoff=backoff)
        now_ms, next_at = int(now * 1000), int((now + pause) * 1000)
        failing_since = progress.failing_since or now_ms
        until = work.tried_until(failing_since)
        if until > now_ms and work.breaker.is_closed:
            next_at = min(next_at, until)  # once more when its time is over
        entry.progress = replace(
            progress,
            attempts=progress.attempts + (counts and not perhaps),
            perhaps=progress.perhaps + perhaps,
            failing_since=failing_since,
            next_at=entry.due(next_at),
            not_before=0 if asked is None else int((now + min(asked, backoff.asked)) * 1000),
            code=ending.code,
            reason=ending.reason,
        )
        if 0 < until <= now_ms and counts and work.breaker.is_closed:
            self._endings.end(entry, State.expired, TRIED_TOO_LONG, attempts)
        else:
            self._wait(entry, attempts)

    def _refused_together(self, ending: BadEvent | BadSettings, landed: Landed) -> None:
        """
        One of a batch may be to blame, or a firewall's taste, or the settings: each goes again in smaller company, at
        once, or after a while and alone if it looked like the settings. How often it was tried does not grow by that.
        """
        if isinstance(ending, BadEvent):
            self._receiver_is_up()
            for one, attempts in landed:
                one.entry.failed = True
                self._work.tools.recorder.record(Record(attempts=attempts))
            self.send_apart([one for one, _ in landed], apart(len(landed)))
            return
        next_at = int((self._work.tools.clock() + wait_before(1, dice=1.0, asked=None, backoff=ASK_AGAIN)) * 1000)
        for one, attempts in landed:
            entry = one.entry
            entry.company = 1
            entry.progress = replace(
                entry.progress, next_at=next_at, not_before=0, code=ending.code, reason=ending.reason
            )
            self._wait(entry, attempts, at_hand=True)

    def send_apart(self, load: Load, company: int) -> None:
        """They go again at once, each in such company at most."""
        for one in load:
            entry = one.entry
            entry.company = company
            self._work.line_up.turns.release(entry)
            if not self._ends_now(entry, ()):
                self._work.line_up.put_back(entry)
        self._wake()

    def _refused(self, entry: Entry, ending: BadSettings, attempts: list[Attempt]) -> None:
        """Perhaps the settings' fault, perhaps its own: it stays at hand until that is sure."""
        work = self._work
        if work.is_resent(entry) and work.is_on:
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
        if self._ends_now(entry, attempts):
            return
        if entry.parked and not at_hand:
            self._parking.give_back(entry, progress, attempts)
        else:
            work.line_up.delay(entry, progress.due_at / 1000)
            work.tools.recorder.record(
                Record(before=lambda store: store.set_progress(number, position, progress), attempts=attempts)
            )

    def _ends_now(self, entry: Entry, attempts: Sequence[Attempt]) -> bool:
        """Whether somebody has decided, while it was under way, that it is not to be tried again."""
        if self._work.switched_off(entry.position, entry.resent_at):
            self._endings.end(entry, State.skipped, SWITCHED_OFF, attempts)
        elif entry.skipped_by:
            row = skip_row(self._work, entry.position, entry.skipped_by)
            self._endings.end(entry, State.skipped, SKIPPED_BY_HAND, [*attempts, row])
        else:
            return False
        return True

    # Small

    def _receiver_is_up(self) -> None:
        if self._work.breaker.success(self._work.tools.clock()):
            self._work.steady_since = self._work.now_ms()
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
