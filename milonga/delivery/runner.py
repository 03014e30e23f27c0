"""
One destination at work: take what the reader brings, keep order, send, judge the answer, record. It decides by the
pure rules beside this file and does I/O through its tools; a slow or failing destination is nobody else's business.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from typing import Any, Protocol

import msgspec
import structlog
from msgspec import Struct

from milonga.delivery import breaker
from milonga.delivery.answers import attempt_row, judged, told
from milonga.delivery.encode import outgoing
from milonga.delivery.entry import Entry, Stage
from milonga.delivery.limits import Limits
from milonga.delivery.line_up import LineUp
from milonga.delivery.outgoing import NoAnswer, Outgoing, Reply
from milonga.delivery.parking import ParkedLines
from milonga.delivery.ratelimit import RateLimit
from milonga.delivery.reading import Reading
from milonga.delivery.recorder import Record, Recorder
from milonga.delivery.retry import wait_before
from milonga.delivery.store import DeadLetter, DeliveryReader, Parked, Progress
from milonga.delivery.suspicion import ASK_AGAIN, Suspicion, Verdict
from milonga.delivery.switching import Fate, paused_within
from milonga.destinations.contract import (
    BadEvent,
    BadSettings,
    Delivered,
    Destination,
    Key,
    Request,
    Skip,
    TryAgain,
)
from milonga.eventlog.api import Damaged, LogReader, Position, Stored
from milonga.outcomes.files import Attempt, OutcomeReader
from milonga.outcomes.model import Outcome, State
from milonga.spec.read import read_stamped
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationConfig, DestinationState

log = structlog.get_logger("milonga.delivery")

SWITCHED_OFF = "destination_off"
TOO_OLD = "too_old"
TRIMMED = "log_trimmed"
DAMAGED = "damaged_record"
TICK = 1.0  #: seconds between two looks at what only time changes
PARKED_AT_ONCE = 500  #: parked events ended at once


class Sender(Protocol):
    def send(self, outgoing: Outgoing, done: Callable[[Reply, float], None]) -> None: ...


class Tools(Struct, frozen=True, kw_only=True):
    """
    clock         unix seconds
    dice          0.0 to 1.0
    change_state  (destination id, state, by, reason): tell the workspace what the pipeline has decided
    """

    log: LogReader
    reader: DeliveryReader
    outcomes: OutcomeReader
    recorder: Recorder
    sender: Sender
    clock: Callable[[], float]
    dice: Callable[[], float]
    change_state: Callable[[int, DestinationState, str, str], None]


class Runner:
    """One per destination. Everything but `run` and `stop` is synchronous and happens in the event loop."""

    def __init__(self, config: DestinationConfig, kind: Destination, tools: Tools, limits: Limits) -> None:
        self.config, self.kind, self.limits = config, kind, limits
        self._tools = tools
        self._line_up = LineUp()
        self._live: dict[Position, Entry] = {}
        self._breaker = breaker.Breaker(limits.breaker)
        self._rate = RateLimit(limits.per_second, burst=limits.in_flight)
        self._suspicion = Suspicion()
        self._slots = 0
        self._idle = asyncio.Event()
        self._started_at = int(tools.clock() * 1000)
        self._probe_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._loading: set[asyncio.Task[None]] = set()
        self._in_hand: set[Position] = set()  # parked events that are in memory, or whose end is being written
        self._parking = ParkedLines(
            config.id,
            self._line_up,
            tools.reader,
            tools.recorder,
            limit=limits.loaded,
            clock=tools.clock,
            load=self._load,
            is_settled=self._is_settled,
        )
        self._reading = Reading(config, tools.log, tools.reader, tools.recorder, tools.outcomes, limits, self)

    # Life

    async def run(self) -> None:
        """Work until `stop`."""
        now = self._now_ms()
        self._tools.recorder.record(
            Record(
                before=lambda store: store.look_at_all(self.config.id, now),
                then=self._parking.look_after_due,
            )
        )
        self._follow_state()
        self._tick()
        await self._reading.run()

    async def stop(self, grace: float) -> None:
        """Take no more, let what is under way finish for `grace` seconds, hand the rest back to the log."""
        self._stopping = True
        self._reading.stop()
        if self._timer is not None:
            self._timer.cancel()
        if self._slots:
            await asyncio.wait([asyncio.ensure_future(self._idle.wait())], timeout=grace)
        for task in self._loading:
            task.cancel()
        self._reading.record_positions()

    def update(self, config: DestinationConfig) -> None:
        """Settings or state changed. What is under way finishes under the old ones."""
        before, self.config = self.config, config
        self._reading.update(config)
        if config.settings_version != before.settings_version or config.state is not before.state:
            self._suspicion.clear()
            self._follow_state()

    def resend(self, letter: DeadLetter) -> None:
        """A dead letter joins at the end of its lines."""
        entry = Entry(letter.position, (), letter.event.stamp.received_at, self._tools.clock())
        entry.stored = letter.event
        keys = self._keys_of(entry)
        parked = Parked(
            position=letter.position,
            parked_at=self._now_ms(),
            received_at=letter.event.stamp.received_at,
            keys=keys,
            resent=True,
            event=letter.event,
        )
        progress = Progress(parts=letter.parts)

        def remove_letter() -> None:
            self._tools.recorder.record(Record(before=lambda store: store.remove_dead(self.config.id, letter.position)))

        self._tools.recorder.record(
            Record(before=lambda store: store.set_progress(self.config.id, letter.position, progress))
        )
        self._parking.park(parked, remove_letter)

    @property
    def is_sending(self) -> bool:
        return self.config.state is DestinationState.on and not self._stopping

    @property
    def has_room(self) -> bool:
        """Whether the reader may bring more."""
        return self._line_up.bytes < self.limits.window_bytes

    # In: what the reader brings

    def admit(self, item: Stored | Damaged, fate: Fate, progress: Progress | None) -> None:
        """An event of this destination's source; every one of them ends in an outcome."""
        if isinstance(item, Damaged):
            log.error("delivery.damaged_record", position=item.position, reason=item.reason)
            entry = Entry(item.position, (), 0, self._tools.clock())
            return self._end(entry, State.dead, DAMAGED)
        entry = Entry(item.position, (), item.event.stamp.received_at, self._tools.clock())
        entry.stored, entry.size = item.event, len(item.event.body) + 500
        if progress is not None:
            entry.progress, entry.failed, entry.next_at = progress, True, progress.next_at / 1000
        if fate is Fate.switched_off:
            return self._end(entry, State.skipped, SWITCHED_OFF)
        if not self._translate(entry):
            return None
        entry.keys = self._keys_of(entry)
        if self._parking.holds(entry.keys):
            return self._park(entry)
        self._live[entry.position] = entry
        self._line_up.add(entry)
        if max((self._line_up.lanes.length(key) for key in entry.keys), default=0) > self.limits.lane:
            self._park_with(entry)
        return None

    def relieve(self, position: Position) -> None:
        """The window is full because of this event: park its lines, unless it is merely under way."""
        entry = self._live.get(position)
        if entry is None or not self.is_sending or not self._can_send():
            return
        if entry.stage is not Stage.flying or self._tools.clock() - entry.since > 1.0:
            self._park_with(entry)

    def pump(self) -> None:
        """Send what can be sent now."""
        if self._stopping:
            return
        now = self._tools.clock()
        self._line_up.wake(now)
        while self.is_sending and self._slots < self.limits.in_flight:
            if not self._breaker.may_send(now, self._slots) or self._rate.wait(now) > 0.0:
                break
            entry = self._line_up.take_ready()
            if entry is None:
                break
            self._rate.take(now)
            self._send(entry)
        self._set_timer(now)

    # Out: requests and answers

    def _send(self, entry: Entry) -> None:
        if self._too_old(entry):
            return self._end(entry, State.expired, TOO_OLD)
        if entry.version != self.config.settings_version and not self._translate(entry):
            return None
        request = next((r for r in entry.requests if r.part not in entry.progress.parts), None)
        if request is None:
            return self._end(entry, State.delivered, "")
        if not entry.holds_slot:
            entry.holds_slot = True
            self._slots += 1
        entry.stage = Stage.flying
        self._tools.sender.send(outgoing(request, timeout=self.limits.timeout), partial(self._answered, entry, request))
        return None

    def _answered(self, entry: Entry, request: Request, reply: Reply, seconds: float) -> None:
        ending = judged(reply, self.kind, self._tools.clock())
        perhaps = isinstance(reply, NoAnswer) and reply.perhaps
        attempts = []
        if entry.failed or not isinstance(ending, Delivered):
            attempts = [
                attempt_row(self.config.id, entry.position, request.part, reply, ending, self._now_ms(), seconds)
            ]
            log.info("delivery.attempt", destination=self.config.name, **told(attempts[0]))
        match ending:
            case Delivered():
                self._delivered(entry, request, attempts)
            case TryAgain(code, reason, wait):
                self._try_again(entry, code, reason, wait, attempts, perhaps=perhaps)
            case BadEvent(code, reason):
                self._breaker.success()  # the destination is up
                self._die(entry, code, reason, attempts)
            case BadSettings(code, reason):
                self._refused(entry, code, reason, attempts)
        self.pump()

    def _delivered(self, entry: Entry, request: Request, attempts: list[Attempt]) -> None:
        if self._breaker.success():
            self._back_again()
        for culprit in self._suspicion.delivered():
            if isinstance(culprit, Entry) and culprit is not entry and culprit.stage is Stage.delayed:
                self._die(culprit, culprit.progress.code, culprit.progress.reason, [])
        if entry.alone:
            entry.alone = False
            self._change_state(DestinationState.on, "probe", "A probe was delivered.")
        entry.progress = _with(entry.progress, parts=entry.progress.parts | {request.part})
        if all(r.part in entry.progress.parts for r in entry.requests):
            entry.progress = _with(entry.progress, attempts=entry.progress.attempts + 1)
            self._end(entry, State.delivered, "", attempts)
        else:
            self._keep_attempts(attempts)
            self._send(entry)

    def _try_again(
        self, entry: Entry, code: str, reason: str, wait: float | None, attempts: list[Attempt], *, perhaps: bool
    ) -> None:
        now = self._tools.clock()
        was_probing = entry.alone or not self._can_send()
        entry.alone = False
        if self._breaker.failure(entry.first_key, now=now, dice=self._tools.dice()):
            log.warning("delivery.breaker_open", destination=self.config.name, code=code, until=self._breaker.until)
        if code == "http_429":
            self._rate.hold(now + (min(wait, 300.0) if wait is not None else 1.0))
        count = entry.progress.attempts + (0 if was_probing else 1)
        pause = wait_before(max(count, 1), dice=self._tools.dice(), asked=wait, backoff=self.limits.backoff)
        self._wait_for(entry, code, reason, now + pause, attempts, count=count, perhaps=perhaps)

    def _refused(self, entry: Entry, code: str, reason: str, attempts: list[Attempt]) -> None:
        only_one = len(self._line_up) == 1 and not self._parking
        verdict = self._suspicion.refused(entry, entry.first_key, only_one=only_one)
        now, times = self._tools.clock(), self._suspicion.times(entry)
        entry.alone = False
        pause = wait_before(times, dice=1.0, asked=None, backoff=ASK_AGAIN)
        count = entry.progress.attempts
        # It stays at hand: the next success elsewhere shows that it alone is to blame.
        self._wait_for(entry, code, reason, now + pause, attempts, count=count, perhaps=False, at_hand=True)
        if verdict is Verdict.pause and self.config.state is DestinationState.on:
            self._change_state(DestinationState.paused, "settings", reason)

    def _wait_for(
        self,
        entry: Entry,
        code: str,
        reason: str,
        until: float,
        attempts: list[Attempt],
        *,
        count: int,
        perhaps: bool,
        at_hand: bool = False,
    ) -> None:
        """It keeps its place and is tried again at `until` (unix seconds). at_hand: stay in memory until then."""
        entry.failed = True
        progress = entry.progress = _with(
            entry.progress,
            attempts=count,
            perhaps=entry.progress.perhaps + perhaps,
            next_at=int(until * 1000),
            code=code,
            reason=reason,
        )
        self._free_slot(entry)
        if self.config.state is DestinationState.off:
            return self._end(entry, State.skipped, SWITCHED_OFF, attempts)
        position, number = entry.position, self.config.id
        if not entry.parked or at_hand:
            self._line_up.delay(entry, until)
            record = Record(before=lambda s: s.set_progress(number, position, progress), attempts=attempts)
            self._tools.recorder.record(record)
            return None
        entry.stage = Stage.recording

        def give_back() -> None:
            self._line_up.remove(entry)
            self._parking.left(entry)

        key = entry.keys[0]
        self._tools.recorder.record(Record(before=lambda s: s.set_progress(number, position, progress)))
        self._tools.recorder.record(
            Record(before=lambda s: s.look_again(number, key, progress.next_at), attempts=attempts, then=give_back)
        )
        return None

    def _die(self, entry: Entry, code: str, reason: str, attempts: list[Attempt]) -> None:
        assert entry.stored is not None  # noqa: S101 - only what was sent can be refused
        letter = DeadLetter(
            destination=self.config.id,
            position=entry.position,
            died_at=self._now_ms(),
            code=code,
            reason=reason,
            parts=entry.progress.parts,
            event=entry.stored,
        )
        self._tools.recorder.record(Record(before=lambda store: store.add_dead(letter)))
        self._end(entry, State.dead, code, attempts)
        if self._suspicion.bad_event() is Verdict.pause and self.config.state is DestinationState.on:
            self._suspicion.clear()
            reason = f"Half of the last 100 events were refused, the last one because: {reason}"
            self._change_state(DestinationState.paused, "settings", reason)

    # The end of an event

    def _end(self, entry: Entry, state: State, code: str, attempts: list[Attempt] | None = None) -> None:
        """Decide its outcome; once that is durable its lines go on."""
        self._suspicion.forget(entry)
        was_in_line_up = entry.position in self._live or (entry.parked and entry.stage is not Stage.gone)
        entry.stage = Stage.recording
        outcome = Outcome(
            destination=self.config.id,
            position=entry.position,
            state=state,
            code=code,
            attempts=entry.progress.attempts,
            perhaps=entry.progress.perhaps,
            received_at=entry.received_at,
            ended_at=self._now_ms(),
            settings_version=self.config.settings_version,
        )
        then = partial(self._recorded, entry, in_line_up=was_in_line_up)
        self._tools.recorder.record(Record(outcome=outcome, attempts=attempts or (), then=then))

    def _recorded(self, entry: Entry, *, in_line_up: bool) -> None:
        self._free_slot(entry)
        if entry.failed or entry.progress.parts:
            position = entry.position
            self._tools.recorder.record(Record(before=lambda store: store.drop_progress(self.config.id, position)))
        if entry.parked:
            self._parking.unpark(entry.position, entry.keys, partial(self._left_parking, entry, in_line_up))
        else:
            self._leave(entry, in_line_up=in_line_up)
        self.pump()

    def _left_parking(self, entry: Entry, in_line_up: bool) -> None:
        self._in_hand.discard(entry.position)
        if in_line_up:
            self._parking.left(entry)
            self._line_up.remove(entry)
        self.pump()

    def _leave(self, entry: Entry, *, in_line_up: bool) -> None:
        self._live.pop(entry.position, None)
        if in_line_up:
            self._line_up.remove(entry)
        self._reading.leave(entry.position)
        self._parking.look_at(entry.keys)

    # Parking

    def _park(self, entry: Entry) -> None:
        """Its place among the parked is made durable; until then it holds the watermark."""
        entry.parked = True
        parked = Parked(
            position=entry.position,
            parked_at=self._now_ms(),
            received_at=entry.received_at,
            keys=entry.keys,
            resent=False,
            event=None,
        )
        self._parking.park(parked, partial(self._reading.leave, entry.position))

    def _park_with(self, entry: Entry) -> None:
        """Park its lines and all that hang together with them. What is under way stays in memory as well."""
        for other in self._line_up.connected(entry.keys):
            if other.parked or other.stage is Stage.recording:
                continue
            del self._live[other.position]
            if other.stage is Stage.flying:
                self._in_hand.add(other.position)
            else:
                self._line_up.remove(other)
            self._park(other)

    def _load(self, entry: Entry, parked: Parked) -> None:
        self._in_hand.add(entry.position)
        if parked.event is not None:
            self._loaded(entry, parked.event)
        else:
            task = asyncio.get_running_loop().create_task(self._read_again(entry))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)

    async def _read_again(self, entry: Entry) -> None:
        partition, offset = entry.position
        items = await self._tools.log.read(partition, offset - 1, 1)
        found = items[0] if items and items[0].position == entry.position else None
        match found:
            case Stored(_, event):
                self._loaded(entry, event)
            case Damaged(_, reason):
                log.error("delivery.damaged_record", position=entry.position, reason=reason)
                self._end(entry, State.dead, DAMAGED)
            case None:
                self._end(entry, State.expired, TRIMMED)

    def _loaded(self, entry: Entry, event: Stamped) -> None:
        entry.stored, entry.size = event, len(event.body) + 500
        if entry.resent:
            entry.counts_from = self._now_ms()
        self._line_up.loaded(entry)
        if self.config.state is DestinationState.off:
            return self._end(entry, State.skipped, SWITCHED_OFF)
        self.pump()
        return None

    def _is_settled(self, parked: Parked) -> bool:
        if parked.parked_at >= self._started_at:
            return False
        outcomes = self._tools.outcomes.of(parked.position)
        return any(o.destination == self.config.id and o.ended_at >= parked.parked_at for o in outcomes)

    # What only time or a human changes

    def _tick(self) -> None:
        if self._stopping:
            return
        now = self._tools.clock()
        self._expire_old()
        if self.is_sending and self._can_send():
            for entry in list(takewhile(lambda e: e.since < now - self.limits.blocked, self._live.values())):
                if entry.stage is not Stage.gone and not entry.parked:
                    self._park_with(entry)
        self._probe(now)
        self._parking.look_after_due()
        self._reading.record_positions()
        self.pump()
        asyncio.get_running_loop().call_later(TICK, self._tick)

    def _expire_old(self) -> None:
        for entry in list(takewhile(self._too_old, self._live.values())):
            if entry.stage not in (Stage.flying, Stage.recording):
                self._end(entry, State.expired, TOO_OLD)
        self._end_parked(self._now_ms() - self.limits.max_age, State.expired, TOO_OLD)

    def _end_parked(self, received_before: int, state: State, code: str) -> int:
        """End parked events on disk that arrived before then; a bounded number at a time."""
        ended = 0
        if not self._parking:
            return ended
        for position in self._tools.reader.parked_older(self.config.id, received_before, PARKED_AT_ONCE):
            parked = None if position in self._in_hand else self._tools.reader.parked(self.config.id, position)
            if parked is None:
                continue
            entry = Entry(position, parked.keys, parked.received_at, 0.0, parked=True)
            entry.stage = Stage.gone
            entry.counts_from = parked.parked_at if parked.resent else parked.received_at
            if state is State.expired and not self._too_old(entry):
                continue
            self._in_hand.add(position)
            self._end(entry, state, code)
            ended += 1
        return ended

    def _too_old(self, entry: Entry) -> bool:
        now = self._now_ms()
        age = now - entry.counts_from
        if age <= self.limits.max_age:
            return False
        if age > self.limits.pinned:
            return True
        return age - paused_within(self.config.changes, entry.counts_from, now) > self.limits.max_age

    def _probe(self, now: float) -> None:
        """A destination paused because of its settings may have been mended on the other side: ask now and then."""
        by_settings = self.config.state is DestinationState.paused and self.config.changes[-1].by == "settings"
        if by_settings and not self._slots and now >= self._probe_at:
            self._probe_at = now + self.limits.probe
            entry = self._line_up.any_to_try()
            if entry is not None:
                entry.alone = True
                self._send(entry)

    def _follow_state(self) -> None:
        self._parking.paused = self.config.state is not DestinationState.on
        match self.config.state:
            case DestinationState.on:
                self._back_again()
            case DestinationState.paused:
                self._probe_at = self._tools.clock() + self.limits.probe
            case DestinationState.off:
                for entry in list(self._line_up.idle()):
                    if entry.stage is not Stage.loading:
                        self._end(entry, State.skipped, SWITCHED_OFF)
                self._end_all_parked()
        self.pump()

    def _end_all_parked(self) -> None:
        """Switched off: what is parked ends too, a slice at a time."""
        if self.config.state is DestinationState.off and not self._stopping:
            if self._end_parked(self._now_ms() + 1, State.skipped, SWITCHED_OFF):
                self._tools.recorder.record(Record(then=self._end_all_parked))
            elif self._parking:
                asyncio.get_running_loop().call_later(TICK, self._end_all_parked)

    def _back_again(self) -> None:
        """It works again, or is said to: whatever waits for its time goes out now."""
        now = self._now_ms()
        self._line_up.wake_all()
        then = self._parking.look_after_due
        self._tools.recorder.record(Record(before=lambda store: store.hurry(self.config.id, now), then=then))

    def _change_state(self, state: DestinationState, by: str, reason: str) -> None:
        log.warning("delivery.state", destination=self.config.name, state=state.value, by=by, reason=reason)
        self._tools.change_state(self.config.id, state, by, reason)

    # Small

    def _translate(self, entry: Entry) -> bool:
        """With the settings now in force; False if that ended the event."""
        assert entry.stored is not None  # noqa: S101 - loaded before it is ready
        try:
            result = self.kind.translate(read_stamped(entry.stored), self.config.settings)
        except Exception as error:
            log.exception("delivery.translate_failed", position=entry.position)
            self._die(entry, "translate_failed", f"{type(error).__name__} in the translation: please report this.", [])
            return False
        entry.version = self.config.settings_version
        if isinstance(result, Skip):
            self._end(entry, State.skipped, result.code)
            return False
        entry.requests = result
        return True

    def _keys_of(self, entry: Entry) -> tuple[Key, ...]:
        assert entry.stored is not None  # noqa: S101 - as above
        keys = self.kind.keys(read_stamped(entry.stored))
        return keys or ((f"#{entry.position.partition}.{entry.position.offset}",),)

    def _can_send(self) -> bool:
        return self._breaker.state is breaker.State.closed

    def _free_slot(self, entry: Entry) -> None:
        if entry.holds_slot:
            entry.holds_slot = False
            self._slots -= 1
            if not self._slots and self._stopping:
                self._idle.set()

    def _keep_attempts(self, attempts: list[Attempt]) -> None:
        if attempts:
            self._tools.recorder.record(Record(attempts=attempts))

    def _set_timer(self, now: float) -> None:
        """Come back when the next delayed event, the breaker or the rate limit allows."""
        times = [self._line_up.next_wake()]
        if self._breaker.state is breaker.State.open:
            times.append(self._breaker.until)
        if (wait := self._rate.wait(now)) > 0.0:
            times.append(now + wait)
        soonest = min((t for t in times if t is not None), default=None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if soonest is not None and soonest < now + TICK:
            self._timer = asyncio.get_running_loop().call_later(max(soonest - now, 0.001), self.pump)

    def _now_ms(self) -> int:
        return int(self._tools.clock() * 1000)


def _with(progress: Progress, **changes: Any) -> Progress:
    return msgspec.structs.replace(progress, **changes)
