"""What only time or a human changes: age, lines that do not move, probes of a paused destination, on and off."""

from collections.abc import Sequence
from functools import partial
from itertools import takewhile

from milonga.delivery.ending import SWITCHED_OFF, TOO_LATE, TOO_OLD
from milonga.delivery.entry import UNDER_WAY, Entry, Stage
from milonga.delivery.flight import Flights
from milonga.delivery.parking import Parking
from milonga.delivery.recorder import Record
from milonga.delivery.rows import Parked
from milonga.delivery.store_reader import OLDEST, Age, Aged
from milonga.delivery.work import Work
from milonga.outcomes.model import Attempt, State
from milonga.workspace.model import DestinationState

ON_DISK_AT_ONCE = 500  #: parked events looked through, or ended, at once


class Upkeep:
    def __init__(self, work: Work, parking: Parking, flights: Flights) -> None:
        self._work, self._parking, self._flights = work, parking, flights
        self._probe_at = 0.0
        self._age_at: Age = OLDEST  # how far the parked events were looked through for old ones
        self._sweeping = False

    def start(self) -> None:
        """Once, before the first tick. A pause may be long over: the first event at hand finds out."""
        self.follow_state()
        self._probe_at = self._work.tools.clock()

    def clock_set(self, seconds: float) -> None:
        self._probe_at += seconds

    def tick(self) -> None:
        """Once a second."""
        self._expire()
        if self._work.config.state is DestinationState.off:
            self._end_switched_off()  # those that were on their way to disk when we looked
        self._park_blocked()
        self._probe()
        self._parking.lines.look_at_due()

    def follow_state(self) -> None:
        """The destination's state, or its settings, may have changed."""
        work = self._work
        for entry in work.line_up.everything():
            if entry.stage not in UNDER_WAY and work.switched_off(entry.position, entry.resent_at):
                self._parking.endings.end(entry, State.skipped, SWITCHED_OFF)
        if any(change.state is DestinationState.off for change in work.config.changes):
            self._end_switched_off()
        match work.config.state:
            case DestinationState.on:
                self._flights.landings.hurry()
            case DestinationState.paused:
                self._probe_at = work.tools.clock() + work.limits.probe
            case DestinationState.off:
                pass

    def _park_blocked(self) -> None:
        """Lines whose first event has failed for too long go to disk, unless the whole destination is down."""
        work = self._work
        if not work.is_sending or not work.breaker.is_closed:
            return
        before = work.tools.clock() - work.limits.blocked
        blocked = [entry for entry in work.live.values() if 0.0 < entry.trying_since < before]
        for entry in blocked:
            if entry.stage not in (Stage.gone, Stage.recording) and not entry.parked:
                self._parking.park_with(entry.keys)

    def _expire(self) -> None:
        work = self._work
        live = work.live.values()
        old = filter if work.detours else takewhile  # without a detour the oldest come first
        for entry in list(old(lambda entry: work.too_old(entry.counts_from), live)):
            if entry.stage not in UNDER_WAY:
                self._parking.endings.end(entry, State.expired, TOO_OLD)
        for entry in [entry for entry in work.live.values() if work.too_late(entry)]:
            if entry.stage not in UNDER_WAY:
                self._parking.endings.end(entry, State.expired, TOO_LATE)
        found = self._parked_before(self._age_at, work.now_ms() - work.max_age)
        for aged in found:
            if work.too_old(aged.parked_at if aged.resent else aged.age[0]):
                self._end_parked(aged, State.expired, TOO_OLD)
        self._age_at = found[-1].age if found else OLDEST

    def _end_switched_off(self) -> None:
        """What waits on disk ends too, a slice at a time."""
        if not self._sweeping:
            self._sweeping = True
            self._sweep(OLDEST)

    def _sweep(self, after: Age) -> None:
        work = self._work
        found = [] if work.stopping else self._parked_before(after, work.now_ms() + 1)
        for aged in found:
            if work.switched_off(aged.position, aged.parked_at if aged.resent else 0):
                self._end_parked(aged, State.skipped, SWITCHED_OFF)
        if found:
            work.tools.recorder.record(Record(then=partial(self._sweep, found[-1].age)))
        else:
            self._sweeping = False

    def _parked_before(self, after: Age, received_before: int) -> list[Aged]:
        if not self._parking.lines:
            return []
        work = self._work
        return work.tools.reader.parked_by_age(work.config.id, after, received_before, ON_DISK_AT_ONCE)

    def end_parked(self, parked: Parked, state: State, code: str, attempts: Sequence[Attempt] = ()) -> None:
        """The same for one that was looked up."""
        age = (parked.received_at, *parked.position)
        self._end_parked(Aged(age, parked.parked_at, parked.resent, parked.keys), state, code, attempts)

    def _end_parked(self, aged: Aged, state: State, code: str, attempts: Sequence[Attempt] = ()) -> None:
        """It ends without having been brought back into memory."""
        work, lines = self._work, self._parking.lines
        if aged.position in lines.in_hand:
            return
        lines.in_hand.add(aged.position)
        entry = Entry(aged.position, aged.age[0], aged.keys)
        entry.parked, entry.resent_at = True, aged.parked_at if aged.resent else 0
        progress = work.tools.reader.progress(work.config.id, aged.position)
        if progress is not None:
            entry.resume(progress)
        self._parking.endings.end(entry, state, code, attempts)

    def _probe(self) -> None:
        """A destination paused because of its settings may have been mended on the other side: ask now and then."""
        work, now = self._work, self._work.tools.clock()
        by_settings = work.config.state is DestinationState.paused and work.config.changes[-1].by == "settings"
        if not by_settings or work.asked is not None or work.slots or work.stopping or now < self._probe_at:
            return
        if work.rate.wait(now) > 0.0:
            return
        entry = work.line_up.any_to_try(now)
        if entry is None or entry.failed:  # it alone may be what is refused: let there be another the next time
            self._parking.lines.load_one()
        if entry is not None:
            self._probe_at = now + work.limits.probe
            entry.alone = True
            self._flights.send(entry)
