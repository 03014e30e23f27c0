"""
A replay at work: a further reader, beside the one of live events and behind it. It goes through the log once, takes
what is asked for, and puts each event at the end of its lines by way of the parked ones, as a dead letter that is
resent: so order, restarts, switching off and the end of each event are what they are for any other.

Few of its events are on their way at a time, and none joins while live events wait. Its position and the events it has
passed are one commit: after a crash nothing is sent again that was.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from milonga.delivery.admission import keys_of
from milonga.delivery.detours import account_of
from milonga.delivery.ending import USER_DELETED
from milonga.delivery.filing import filed, may_be_filed
from milonga.delivery.finding import stretch
from milonga.delivery.named import NoAccount
from milonga.delivery.namings import Namings
from milonga.delivery.parking import Parking
from milonga.delivery.picking import Picker
from milonga.delivery.ratelimit import RateLimit
from milonga.delivery.recorder import Record
from milonga.delivery.replay_rows import Filed, Joined, Replay, ReplayState, Way
from milonga.delivery.replay_rules import UNREADABLE, requests_of
from milonga.delivery.rows import Parked, Progress
from milonga.delivery.setters import AT_ONCE, REST, Setters, outcomes_of
from milonga.delivery.store import DeliveryStore
from milonga.delivery.work import Work
from milonga.destinations.contract import Key, Skip
from milonga.destinations.deciding import as_replayed
from milonga.eventlog.api import Damaged, Offset, Position, Stored
from milonga.outcomes.model import Outcome
from milonga.spec.read import read_stamped
from milonga.workspace.model import DestinationState

log = structlog.get_logger("milonga.delivery")

ON_THEIR_WAY: Final = 16  #: events of a replay in memory, or about to be, beyond which no other joins
IN_LINES: Final = 1_000  #: the same of those that have joined their lines and not ended: some may not get on for long
LOOK_AGAIN: Final = 0.25  #: seconds after which one that may not go on is looked at again
SOON: Final = 0.001  #: seconds: less is no time to wait
TRY_AGAIN: Final = 5.0  #: seconds after what should not have happened
TRIES: Final = 5
LEFT: Final = "left"  #: what became of an event that the replay passed by, in its counts


class Readers(Protocol):
    """milonga.delivery.reading"""

    def watermark(self, partition: int) -> Offset: ...
    def read_to(self, partition: int) -> Offset: ...
    @property
    def is_behind(self) -> bool: ...


class Replaying:
    """All replays of one destination, one after the other."""

    def __init__(self, work: Work, parking: Parking, readers: Readers) -> None:
        self._work, self._parking, self._readers = work, parking, readers
        self._changed = asyncio.Event()
        self._counts: Counter[tuple[str, str]] = Counter()  # since the position was last recorded
        self._setters, self._namings = Setters(work), Namings(work)
        self._drop_at = 0.0
        work.on_left_replay = self.look_again

    def look_again(self) -> None:
        """Something was asked for, or changed, or the work stops."""
        self._changed.set()

    # What people ask for

    def begin(self, replay: Replay) -> None:
        self._work.tools.recorder.record(Record(before=lambda store: store.replays.begin(replay), then=self.look_again))

    def set_state(self, number: int, state: ReplayState, reason: str, then: Callable[[], None] | None = None) -> None:
        """One that has ended stays as it is."""
        now = self._work.now_ms()
        self._work.tools.recorder.record(
            Record(
                before=lambda store: store.replays.set_state(number, state, reason, now), then=then or self.look_again
            )
        )

    async def _set_state(self, number: int, state: ReplayState, reason: str) -> None:
        """Durable on return."""
        done = asyncio.get_running_loop().create_future()
        self.set_state(number, state, reason, lambda: None if done.done() else done.set_result(None))
        await done

    # Life

    async def run(self) -> None:
        """Until the work stops. What goes wrong with a replay ends the replay, never delivery."""
        failures = 0
        while not self._work.stopping:
            self._changed.clear()
            replay = self._work.tools.reader.replays.first_unfinished(self._work.config.id)
            if replay is None:
                await self._wait(None)
                continue
            try:
                await self._carry_out(replay)
                failures = 0
            except Exception as error:
                log.exception("delivery.replay", destination=self._work.config.name, replay=replay.id)
                failures += 1
                if failures >= TRIES:
                    failures = 0
                    reason = f"{type(error).__name__}: please report this with the log of the server."
                    await self._set_state(replay.id, ReplayState.failed, reason)
                await self._wait(TRY_AGAIN)
            finally:
                self._setters.close()
                self._namings.close()

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _carry_out(self, replay: Replay) -> None:
        """To its end, or until it may not go on."""
        work = self._work
        if not await self._may_look(replay):
            return
        ways = await self._ways(replay)
        rate = RateLimit(replay.rate)
        if work.kind.overwriting and not replay.overwrite:
            for partition, way in ways.items():
                if not await self._note_all(replay, self._setters, partition, way.after):
                    return
        if replay.wanted.find_accounts:
            for partition in ways:
                begin = await work.tools.log.begin(partition)
                if not await self._note_all(replay, self._namings, partition, max(0, begin - 1)):
                    return
        for partition, way in ways.items():
            if not await self._go_through(replay, partition, way, rate):
                return
        while any(joined.replay == replay.id for joined in work.replayed.values()):
            self._changed.clear()
            self._drop_erased()
            await self._wait(LOOK_AGAIN)
            if work.stopping:
                return
        await self._set_state(replay.id, ReplayState.done, "")
        log.info("delivery.replay_done", destination=work.config.name, replay=replay.id)

    async def _ways(self, replay: Replay) -> dict[int, Way]:
        """Where it stands; at first, before the range, and where it is to end."""
        work, known = self._work, self._work.tools.reader.replays.ways(replay.id)
        for partition in work.tools.log.assignments(f"destination-{work.config.id}"):
            if partition in known:
                continue
            wanted = replay.wanted
            after, upto = await stretch(work.tools.log, partition, wanted.since, wanted.until)
            after = await self._picker(replay).first(partition, after, upto)
            known[partition] = way = Way(after, upto)

            def set_way(store: DeliveryStore, partition: int = partition, way: Way = way) -> None:
                store.replays.set_way(replay.id, partition, way)

            work.tools.recorder.record(Record(before=set_way))
        return known

    async def _may_look(self, replay: Replay) -> bool:
        """Whether it is still to go on; waits while it is paused, or the destination is."""
        work = self._work
        while not work.stopping:
            self._changed.clear()
            now = work.tools.reader.replays.one(replay.id)
            if now is None or now.ended_at is not None:
                return False
            if work.config.state is DestinationState.off:
                await self._set_state(replay.id, ReplayState.stopped, "The destination was switched off.")
                return False
            if now.state is ReplayState.running and work.is_sending:
                return True
            await self._wait(LOOK_AGAIN)
        return False

    async def _may_join(self, replay: Replay, offset: Position, rate: RateLimit) -> bool:
        """Waits for the turn of one event. False if the replay is not to go on."""
        loop = asyncio.get_running_loop()
        while await self._may_look(replay):
            wait = LOOK_AGAIN
            if self._is_busy(offset):
                self._drop_erased()
            elif (wait := rate.wait(loop.time())) <= 0.0:
                rate.take(loop.time())
                return True
            self._changed.clear()
            await self._wait(max(wait, SOON))
        return False

    def _is_busy(self, at: Position) -> bool:
        """Whether live events go first, enough of the replay's are on their way, or the disk has no room for more."""
        work, lines, joining = self._work, self._parking.lines, self._parking.joining
        return (
            len(work.replayed) >= IN_LINES
            or sum(one in lines.in_hand or one in joining for one in work.replayed) >= ON_THEIR_WAY
            # Where nothing else waits, one of the replay's must find out whether the receiver is back.
            or (not work.breaker.is_closed and (bool(work.live) or lines.count > 0))
            or not work.tools.has_room()
            or self._readers.is_behind
            or len(work.live) > work.config.delivery.concurrency
            or self._readers.watermark(at.partition) < at.offset
        )

    def _drop_erased(self) -> None:
        """Those that were taken from their lines from outside, now and then: nobody will say that they ended."""
        work, number, now = self._work, self._work.config.id, asyncio.get_running_loop().time()
        if now < self._drop_at:
            return
        self._drop_at = now + TRY_AGAIN
        gone = [
            at
            for at, joined in work.replayed.items()
            if at not in self._parking.lines.in_hand
            and at not in self._parking.joining
            and work.tools.reader.parked(number, at) is None
        ]
        for at in gone:
            leave = partial(_erased, number, at, work.replayed.pop(at).replay)
            work.tools.recorder.record(Record(before=leave))

    # Through the log

    async def _go_through(self, replay: Replay, partition: int, way: Way, rate: RateLimit) -> bool:
        """Let what is asked for join, in order. False if it is not to go on."""
        work, at, picker = self._work, way.after, self._picker(replay)
        while at < way.upto:
            if not await self._may_look(replay):
                return False
            page = await picker.page(partition, at, way.upto)
            if page.gone:
                self._record(replay, partition, page.begin, gone=page.gone)
            fitting = [item for item in page.items if isinstance(item, Stored) and replay.wanted.fits(item)]
            if damaged := sum(isinstance(item, Damaged) for item in page.items):
                self._counts[LEFT, "damaged_record"] += damaged
            unsettled = {stored.position for stored in fitting if self._may_end(stored)}
            outcomes = await outcomes_of(work, fitting)
            wanted = [stored for stored in fitting if replay.wanted.ended_so(outcomes(stored))]
            for stored in wanted:
                if not await self._may_join(replay, stored.position, rate):
                    return False
                if stored.position in unsettled:
                    outcomes = await outcomes_of(work, wanted)
                    if not replay.wanted.ended_so(outcomes(stored)):
                        continue
                await self._note_further(partition)
                self._take(replay, stored, outcomes(stored))
            at = page.upto
            self._record(replay, partition, at)
            await asyncio.sleep(REST)
        return True

    def _picker(self, replay: Replay) -> Picker:
        tools, number = self._work.tools, self._work.config.id

        async def look(code: str, partition: int, after: Offset, upto: Offset, limit: int) -> list[Offset]:
            look_up = partial(tools.outcomes.places, number, code, partition, after, upto, limit)
            return await asyncio.get_running_loop().run_in_executor(tools.aside, look_up)

        return Picker(tools.log, replay.wanted, look, AT_ONCE)

    def _record(self, replay: Replay, partition: int, after: Offset, gone: int = 0) -> None:
        counted = dict(self._counts)
        self._counts.clear()
        self._work.tools.recorder.record(
            Record(before=lambda store: store.replays.advance(replay.id, partition, after, counted, gone))
        )
        if gone:
            name = self._work.config.name
            log.error("delivery.replay_trimmed", destination=name, replay=replay.id, gone=gone, upto=after)

    def _take(self, replay: Replay, stored: Stored, outcomes: Sequence[Outcome]) -> None:
        """It joins its lines, or is counted among those that do not."""
        work, position = self._work, stored.position
        if self._is_waiting(stored):
            return self._leave_out(replay, position, "waiting")
        if work.is_doomed(stored.event, position):
            return self._leave_out(replay, position, USER_DELETED)
        stored, account = self._filed(replay, stored)
        try:
            event = read_stamped(stored.event)
            keys = keys_of(work, as_replayed(work.kind, event), position)
        except Exception:
            log.exception("delivery.cannot_read", position=position)
            return self._leave_out(replay, position, UNREADABLE.code)
        requests, left_out = requests_of(
            work.config, work.kind, event, work.now_ms(), lambda what: self._setters.is_newer(what, position)
        )
        if isinstance(requests, Skip):
            return self._leave_out(replay, position, requests.code)
        last = max((outcome.ended_at for outcome in outcomes), default=0)
        return self._join(Joined(replay.id, left_out), stored, keys, last, account)

    def _filed(self, replay: Replay, stored: Stored) -> tuple[Stored, str | None]:
        """As it is to be sent, and under which account it was filed for that; None: as it arrived."""
        stamp = stored.event.stamp
        if not replay.wanted.find_accounts or not may_be_filed(stamp):
            return stored, None
        account = self._namings.account_of(stamp.user_id or "", stored.position)
        if isinstance(account, NoAccount):
            return stored, None
        return Stored(stored.position, filed(stored.event, account)), account

    def _leave_out(self, replay: Replay, position: Position, code: str) -> None:
        self._counts[LEFT, code] += 1
        self._record(replay, position.partition, position.offset)

    def _is_waiting(self, stored: Stored) -> bool:
        """Whether it has not ended yet: then it is sent in any case."""
        work, position = self._work, stored.position
        if position in work.live or position in work.replayed or position in self._parking.lines.in_hand:
            return True
        detour = work.detours.way_of(position.partition, account_of(stored.event.stamp), position.offset)
        if detour is not None and detour.window.watermark < position.offset:
            return True
        return work.tools.reader.parked(work.config.id, position) is not None

    def _may_end(self, stored: Stored) -> bool:
        """Whether it has not ended, or is a dead letter, which somebody may resend: its outcomes are not the last."""
        at = stored.position
        is_read = at.offset <= self._readers.watermark(at.partition)
        return (
            not is_read
            or self._is_waiting(stored)
            or self._work.tools.reader.dead(self._work.config.id, at) is not None
        )

    def _join(
        self, joined: Joined, stored: Stored, keys: tuple[Key, ...], last: int, account: str | None = None
    ) -> None:
        """
        The end of its lines is its place; of a dead letter, as if that were resent.

        last     unix milliseconds of its newest outcome so far, which must not be taken for one of this time
        account  under which it was filed for this; None: it goes as it arrived
        """
        work, number, position = self._work, self._work.config.id, stored.position
        letter = work.tools.reader.dead(number, position)
        counted = dict(self._counts)
        self._counts.clear()
        parked = Parked(
            position=position,
            parked_at=max(work.now_ms(), last + 1, 0 if letter is None else letter.died_at + 1),
            received_at=stored.event.stamp.received_at,
            keys=keys,
            resent=True,
            event=stored.event,
        )

        def also(store: DeliveryStore) -> None:
            store.replays.join(number, position, joined)
            if account is not None:
                store.replays.file(number, position, Filed(joined.replay, parked.parked_at, account))
            store.replays.advance(joined.replay, position.partition, position.offset, counted)
            if letter is not None:
                store.set_progress(number, position, Progress(parts=letter.parts))
                store.remove_dead(number, position)

        def failed(_: Exception) -> None:
            work.left_replay(position)

        work.replayed[position] = joined
        self._parking.rejoin(parked, also=also, failed=failed)

    async def _note_all(self, replay: Replay, notes: Setters | Namings, partition: int, after: Offset) -> bool:
        """Before it begins: everything behind here. False if it is not to go on."""
        notes.begin(partition, after)
        end = await self._work.tools.log.end(partition)
        while not notes.is_noted(partition, end):
            if not await self._may_look(replay):
                return False
            await notes.note(partition, end)
        return True

    async def _note_further(self, partition: int) -> None:
        """Up to what live events have been read: those that come later stand behind the replay's in their lines."""
        for notes in (self._setters, self._namings):
            while not notes.is_noted(partition, upto := self._readers.read_to(partition)):
                await notes.note(partition, upto)


def _erased(destination: int, position: Position, replay: int, store: DeliveryStore) -> None:
    store.replays.leave(destination, position, replay, LEFT, "erased")
