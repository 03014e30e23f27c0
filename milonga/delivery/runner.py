"""
One destination at work: its parts put together, and its life from `run` to `stop`. A slow or failing destination is
nobody else's business.

    reading    brings events from the log          admission  lets them in
    line_up    who is ready, who waits for whom    flight     sends them and judges the answers
    ending     writes what became of them          parking    takes lines that do not move to disk and back
    upkeep     what only time or a human changes   resuming   what a crash left half done
    detours    the ways of accounts that flood     replaying  events of the past once more, behind the others
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Any

import structlog

from milonga.delivery.admission import Admission, keys_of
from milonga.delivery.backlog import Backlog
from milonga.delivery.by_hand import ByHand, Done, Wish
from milonga.delivery.clock import Skips
from milonga.delivery.editing import Edited
from milonga.delivery.ending import USER_DELETED
from milonga.delivery.entry import UNDER_WAY
from milonga.delivery.flight import AT_ONCE, Flights
from milonga.delivery.limits import Limits
from milonga.delivery.parked_editing import ParkedEditWish, edit
from milonga.delivery.parking import Parking
from milonga.delivery.reading import Reading
from milonga.delivery.recorder import Record
from milonga.delivery.replaying import Replaying
from milonga.delivery.resuming import finish_parked
from milonga.delivery.rows import DeadLetter, InForce
from milonga.delivery.tools import Tools
from milonga.delivery.upkeep import Upkeep
from milonga.delivery.work import Work
from milonga.destinations.contract import Destination
from milonga.eventlog.api import Position
from milonga.outcomes.model import State
from milonga.outcomes.words import instant
from milonga.privacy.subject import Named
from milonga.spec.read import read_stamped
from milonga.workspace.model import DestinationConfig, DestinationState

log = structlog.get_logger("milonga.delivery")

TICK = 1.0  #: seconds between two looks at what only time changes
SOON = 0.8  #: of the time after which what waits ends as expired in any case
WARN_AGAIN = 3_600_000  #: milliseconds between two warnings of that


class Runner:
    """Everything but `run` and `stop` is synchronous and happens in the event loop."""

    def __init__(self, config: DestinationConfig, kind: Destination, tools: Tools, limits: Limits) -> None:
        self._work = Work(config, kind, tools, limits)
        self._parking = Parking(self._work, self._left, self._wake)
        self._flights = Flights(self._work, self._parking, self._guard, self._wake)
        self._upkeep = Upkeep(self._work, self._parking, self._flights)
        admission = Admission(self._work, self._parking, self._flights)
        self._reading = Reading(self._work, admission, self._go, self._wake)
        self.replaying = Replaying(self._work, self._parking, self._reading)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._backlog = Backlog()
        self._warn_at = 0
        self._awake = False
        self._idle = asyncio.Event()
        self._broken: asyncio.Future[None] | None = None

    @property
    def config(self) -> DestinationConfig:
        return self._work.config

    # Life

    async def run(self) -> None:
        """Work until `stop`. Raises what should not have happened: stop it then, and start another."""
        work, loop = self._work, asyncio.get_running_loop()
        self._broken = loop.create_future()
        number, now = work.config.id, work.now_ms()
        work.tools.recorder.record(Record(before=lambda store: store.look_at_all(number, now)))
        self._record_in_force()
        finish_parked(work, self._parking.lines)
        self._upkeep.start()
        self._guard(self._tick)
        reading = loop.create_task(self._reading.run())
        replaying = loop.create_task(self.replaying.run())
        try:
            await asyncio.wait([reading, self._broken], return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                self._broken.result()
            await reading
        finally:
            work.stopping = True
            reading.cancel()
            replaying.cancel()
            self._broken.cancel()
            await asyncio.wait([replaying])

    async def stop(self, grace: float) -> None:
        """Take no more, let what is under way finish for `grace` seconds, hand the rest back to the log."""
        self._work.stopping = True
        self._reading.look_again()
        self.replaying.look_again()
        if self._timer is not None:
            self._timer.cancel()
        self._parking.stop()
        if self._work.slots:
            try:
                async with asyncio.timeout(grace):
                    await self._idle.wait()
            except TimeoutError:
                pass
        self._reading.record_positions()
        self._record_health()

    def update(self, config: DestinationConfig) -> None:
        """Settings or state changed. What is under way finishes under the old ones."""
        before = self._work.config
        self._work.reconfigure(config)
        self._reading.look_again()
        self.replaying.look_again()
        if config.settings_version != before.settings_version or config.changes != before.changes:
            self._work.suspicion.clear()
            self._upkeep.follow_state()
            self._record_in_force()
            self._wake()

    def clock_set(self, seconds: float, skips: Skips) -> None:
        """
        The clock was set by so much, and has left out `skips` by now. What the store knows of waits is its caller's
        to move (`store.clock.set_by`, then `look_at_waiting`).
        """
        work = self._work
        work.skips = skips
        work.steady_since += round(seconds * 1000)
        work.line_up.clock_set(seconds)
        work.breaker.clock_set(seconds)
        work.rate.clock_set(seconds)
        self._flights.clock_set(seconds)
        for detour in work.detours:
            detour.clock_set(seconds)
        self._upkeep.clock_set(seconds)
        self._reading.clock_set()
        self._warn_at = 0
        self._timer_at += seconds

    def carry_out(self, kind: str, wish: Wish, asked_at: int, done: Done) -> Iterator[None]:
        """What somebody asks of parked keys; see milonga.delivery.by_hand."""
        hand = ByHand(self._work, self._parking, self._upkeep.end_parked, self._wake)
        return hand.carry_out(kind, wish, asked_at, done)

    def edit_parked(self, wish: ParkedEditWish) -> str:
        """See milonga.delivery.parked_editing."""
        return edit(self._work, self._parking, wish)

    def go_on(self) -> None:
        """There is room on the disk again."""
        if self._work.is_sending:
            self._flights.landings.hurry()

    def resend(self, letter: DeadLetter, edited: Edited | None = None) -> bool:
        """
        A dead letter joins at the end of its lines. False if it stays where it is: the destination is off, or it was
        resent already.

        edited  what `letter.event` is, if that is no more what died
        """
        if self._work.config.state is DestinationState.off or self._work.is_doomed(letter.event, letter.position):
            return False
        try:
            keys = keys_of(self._work, read_stamped(letter.event), letter.position)
        except Exception:
            log.exception("delivery.cannot_read", position=letter.position)
            return False
        return self._parking.resend(letter, keys, edited)

    # Users who are being deleted (milonga.delivery.erasing)

    def sweep(self, positions: Collection[Position]) -> int:
        """End what it has of these events; how many are still under way, or being written."""
        work, left = self._work, 0
        here = {entry.position: entry for entry in work.line_up.everything()} | work.live
        for position, entry in here.items():
            if position in positions:
                left += 1
                if entry.stage not in UNDER_WAY:
                    self._parking.endings.end(entry, State.skipped, USER_DELETED)
        for position in positions:
            if position in here:
                continue
            parked = work.tools.reader.parked(work.config.id, position)
            if parked is not None:
                left += 1
                self._upkeep.end_parked(parked, State.skipped, USER_DELETED)
        self._wake()
        return left

    def detours_of(self, users: Collection[str]) -> int:
        """How many detours go by one of these ids."""
        return sum(not detour.begins.keys().isdisjoint(users) for detour in self._work.detours)

    def forget_words(self, users: Collection[str]) -> None:
        """What the receiver said last goes if it names one of them."""
        if Named(users)(self._work.vitals.reason.encode()):
            self._work.vitals.forget_words()
            number = self._work.config.id
            self._work.tools.recorder.record(Record(before=lambda store: store.forget_words(number)))

    # What the parts call

    def _wake(self) -> None:
        """Send soon what can be sent, once for all that happens in this turn of the loop."""
        if not self._awake:
            self._awake = True
            asyncio.get_running_loop().call_soon(self._guard, self._pump)

    def _go(self, read: int) -> None:
        """So much was read: send it at once if it can be, and not behind all else that this loop has to do."""
        if read:
            self._guard(self._pump, min(read, AT_ONCE))

    def _left(self, position: Position) -> None:
        self._reading.leave(position)

    def _guard(self, call: Callable[..., None], *args: Any) -> None:
        """Run a callback. What it raises ends `run`: a runner that is broken must not look as if it worked."""
        try:
            call(*args)
        except Exception as error:
            log.exception("delivery.broken", destination=self._work.config.name)
            self._work.stopping = True
            self._reading.look_again()
            if self._broken is not None and not self._broken.done():
                self._broken.set_exception(error)

    def _record_in_force(self) -> None:
        work = self._work
        number, config = work.config.id, work.config
        holds = InForce(config.settings_version, config.changes[-1].at, work.now_ms())
        work.tools.recorder.record(Record(before=lambda store: store.set_in_force(number, holds)))

    def _record_health(self) -> None:
        work, lines = self._work, self._parking.lines
        number, now = work.config.id, work.now_ms()
        oldest = None if work.detours else 1  # with a detour they are in no order
        arrivals = [entry.received_at for entry in islice(work.live.values(), oldest)]
        arrivals += [detour.read_at for detour in work.detours if detour.unread and detour.read_at]
        if lines.count and (parked := work.tools.reader.oldest_arrival(number)) is not None:
            arrivals.append(parked)
        waiting = len(work.live) + lines.count + self._reading.unread
        oldest_at = min(arrivals, default=None)
        self._warn(now if oldest_at is None else oldest_at, waiting, now)
        if waited := self._backlog.look(now, waiting, oldest_at):
            work.tools.recorder.record(Record(before=lambda store: store.backlog.put(number, waited)))
        health = work.vitals.row(now, work.breaker, waiting, oldest_at)
        if health is not None:
            work.tools.recorder.record(Record(before=lambda store: store.set_health(number, health)))

    def _warn(self, oldest: int, waiting: int, now: int) -> None:
        """Before what waits ends as expired, paused or not."""
        pinned = self._work.limits.pinned
        if now - oldest > SOON * pinned and now >= self._warn_at:
            self._warn_at = now + WARN_AGAIN
            log.error(
                "delivery.about_to_expire",
                destination=self._work.config.name,
                state=self._work.config.state.value,
                waiting=waiting,
                oldest_since=instant(oldest),
                expires=instant(oldest + pinned),
                fix="See `milonga destinations show`: mend it, resume it, or switch it off.",
            )

    # Time

    def _pump(self, most: int = AT_ONCE) -> None:
        self._awake = False
        work = self._work
        if work.stopping:
            if not work.slots:
                self._idle.set()
            return
        now = work.tools.clock()
        self._flights.pump(now, most)
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        """Come back when the next delayed event, the breaker or the rate limit allows, unless the tick comes first."""
        work = self._work
        soonest = now + TICK
        if (wakes := work.line_up.next_wake()) is not None:
            soonest = min(soonest, wakes)
        if not work.breaker.is_closed and work.breaker.until > now:
            soonest = min(soonest, work.breaker.until)
        if (wait := work.rate.wait(now)) > 0.0:
            soonest = min(soonest, now + wait)
        if (leaves := self._flights.leaves_at) is not None:
            soonest = min(soonest, leaves)
        if self._timer is not None and now < self._timer_at <= soonest:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if soonest < now + TICK:
            self._timer_at = max(soonest, now + 0.001)
            self._timer = asyncio.get_running_loop().call_later(self._timer_at - now, self._guard, self._on_time)

    def _on_time(self) -> None:
        self._timer = None  # it may have come a little early: then it is set again
        self._pump()

    def _tick(self) -> None:
        if self._work.stopping:
            return
        self._upkeep.tick()
        self._reading.record_positions()
        self._record_health()
        self._wake()
        asyncio.get_running_loop().call_later(TICK, self._guard, self._tick)
