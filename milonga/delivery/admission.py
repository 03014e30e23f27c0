"""What the reader brings: each event joins the line-up, goes to disk behind its parked line, or ends at once."""

import structlog

from milonga.delivery.detours import Detour, account_of
from milonga.delivery.ending import DAMAGED, SWITCHED_OFF, USER_DELETED
from milonga.delivery.entry import Entry, Stage
from milonga.delivery.flight import Flights
from milonga.delivery.parking import Parking
from milonga.delivery.rows import Progress
from milonga.delivery.switching import Fate
from milonga.delivery.work import Work
from milonga.destinations.contract import Key
from milonga.eventlog.api import Damaged, Position, Stored
from milonga.outcomes.model import State
from milonga.spec.event import Event
from milonga.spec.read import read_stamped

log = structlog.get_logger("milonga.delivery")

A_WHILE = 1.0  #: seconds after which an event that is under way no longer keeps a full window waiting


class Admission:
    """The Taker of milonga.delivery.reading."""

    def __init__(self, work: Work, parking: Parking, flights: Flights) -> None:
        self._work, self._parking, self._flights = work, parking, flights

    @property
    def has_room(self) -> bool:
        """Whether the reader may bring more."""
        return self._work.line_up.bytes < self._work.limits.window_bytes

    def has_room_for(self, detour: Detour) -> bool:
        """Whether its reader may bring more. Half of the memory is enough for detours; what is parked goes first."""
        work, account = self._work, detour.leader
        if work.line_up.bytes >= work.limits.window_bytes // 2 or work.line_up.of_owner(account) >= work.limits.account:
            return False
        parked = self._parking.lines.places_of(account)
        return not detour.lines_move(parked, work.tools.clock(), work.limits.blocked)

    @property
    def parked(self) -> int:
        """How many events are parked."""
        return self._parking.lines.count

    def admit(self, item: Stored | Damaged, fate: Fate, progress: Progress | None) -> None:
        """An event of this destination's source; every one of them ends in an outcome."""
        work, endings = self._work, self._parking.endings
        if isinstance(item, Damaged):
            log.error("delivery.damaged_record", position=item.position, reason=item.reason)
            return endings.end(Entry(item.position, 0), State.dead, DAMAGED)
        entry = Entry(item.position, item.event.stamp.received_at)
        entry.hold(item.event)
        if progress is not None:
            entry.resume(progress)
            entry.trying_since = work.tools.clock()
        if item.event.stamp.is_erased or work.is_doomed(item.event, item.position):
            return endings.end(entry, State.skipped, USER_DELETED)
        if fate is Fate.switched_off:
            return endings.end(entry, State.skipped, SWITCHED_OFF)
        event = self._read(entry)
        if event is None:
            return None
        if self._parking.lines.holds(entry.keys):
            self._parking.park(entry)
            if self._parking.lines.places_of(entry.owner) > work.limits.account:
                self._begin_detour(entry)
            return None
        if not self._flights.translate(entry, event):
            return None
        work.live[entry.position] = entry
        work.line_up.add(entry)
        if work.line_up.longest_lane(entry.keys) > work.limits.lane:
            self._parking.park_with(entry.keys)
        elif work.line_up.of_owner(entry.owner) > work.limits.account and not self._begin_detour(entry):
            self._parking.park_with(work.line_up.keys_of_owner(entry))
        return None

    def _begin_detour(self, entry: Entry) -> bool:
        """Whatever the account sends from here on waits in the log. False if it cannot, or does already."""
        assert entry.stored is not None  # noqa: S101 - it was just read
        if entry.owner != account_of(entry.stored.stamp):
            return False
        partition, offset = entry.position
        return self._work.detours.begin(partition, entry.owner, offset)

    def relieve(self, position: Position) -> None:
        """
        The window is full because of this event: park its lines, unless it is merely about to go; and with it all that
        has failed or hangs, for each of them would fill the window again.
        """
        work = self._work
        entry = work.live.get(position)
        if entry is None or not work.is_sending or not work.breaker.is_closed:
            return
        before = work.tools.clock() - A_WHILE
        if _is_stuck(entry, before):
            stuck = [other for other in work.live.values() if _is_stuck(other, before)]
            self._parking.park_with({key for other in stuck for key in other.keys})
        elif entry.stage is Stage.ready and work.line_up.turns.hangs(entry.owner, before):
            self._parking.park_with(work.line_up.keys_of_owner(entry))

    def _read(self, entry: Entry) -> Event | None:
        assert entry.stored is not None  # noqa: S101 - it was just read
        try:
            event = read_stamped(entry.stored)
            entry.keys = keys_of(self._work, event, entry.position)
        except Exception as error:
            log.exception("delivery.cannot_read", position=entry.position)
            self._parking.endings.die(entry, "unreadable", f"{type(error).__name__}: please report this.")
            return None
        return event


def _is_stuck(entry: Entry, before: float) -> bool:
    """One that has failed is so also while it is its turn again: with many of them, that turn is long in coming."""
    if entry.stage is Stage.flying:
        return entry.sent_at < before
    return entry.stage is Stage.delayed or (entry.stage is Stage.ready and entry.failed)


def keys_of(work: Work, event: Event, position: Position) -> tuple[Key, ...]:
    """Its ordering keys; one of its own if it need not wait for any other event."""
    return work.kind.keys(event, work.config.settings) or ((f"#{position.partition}.{position.offset}",),)
