"""Events on their way to disk, because their line does not move, and back into memory when it is their turn."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from milonga.delivery.editing import Edited
from milonga.delivery.ending import DAMAGED, SKIPPED_BY_HAND, SWITCHED_OFF, TRIMMED, Endings, skip_row
from milonga.delivery.entry import UNDER_WAY, Entry, Stage
from milonga.delivery.parked_lines import ParkedLines
from milonga.delivery.recorder import Record
from milonga.delivery.rows import DeadLetter, Parked, Progress
from milonga.delivery.store import DeliveryStore
from milonga.delivery.work import Work
from milonga.destinations.contract import Key
from milonga.eventlog.api import Damaged, Position, Stored
from milonga.outcomes.model import Attempt, State
from milonga.spec.stored import Stamped

log = structlog.get_logger("milonga.delivery")

CANNOT_PARK = "cannot_park"
READ_AGAIN = 5.0  #: seconds until an event is read again that the log could not give


class Parking:
    """
    left  called with the position of an event that no longer holds the watermark
    wake  called when something is ready again
    """

    def __init__(self, work: Work, left: Callable[[Position], None], wake: Callable[[], None]) -> None:
        self._work, self._left, self._wake = work, left, wake
        self.lines = ParkedLines(work, self._load)
        self.endings = Endings(work, self.lines, left, wake)
        self._reading: set[asyncio.Task[None]] = set()
        self._resending: set[Position] = set()
        self.joining: set[Position] = set()  #: events of replays whose place is not durable yet

    def park(self, entry: Entry) -> None:
        """
        It joins its lines on disk. Whatever stands before it in memory goes there first: after a crash only the places
        on disk say who comes first.
        """
        self.park_with(entry.keys)
        self._park(entry)

    def _park(self, entry: Entry) -> None:
        """Its place among the parked is made durable; until then it holds the watermark."""
        entry.parked = True
        number, position, ending = self._work.config.id, entry.position, entry.stage is Stage.recording

        def also(store: DeliveryStore) -> None:
            if ending:
                store.mark_ending(number, position)

        parked = Parked(
            position=entry.position,
            parked_at=self._work.now_ms(),
            received_at=entry.received_at,
            keys=entry.keys,
            resent=False,
            event=None,
        )
        self.lines.join(parked, then=partial(self._left, position), failed=partial(self._stay, entry), also=also)

    def _stay(self, entry: Entry, error: Exception) -> None:
        """It can never be parked. What is under way goes on as if nobody had tried; anything else ends here."""
        entry.parked = False
        self.lines.in_hand.discard(entry.position)
        if entry.stage is Stage.gone:
            entry.number = 0
            self.endings.die(entry, CANNOT_PARK, f"{type(error).__name__} while it was parked: please report this.")
        else:
            self._work.live[entry.position] = entry

    def park_with(self, keys: Iterable[Key]) -> None:
        """
        Park these lines and all that hang together with them. What is under way, ending, or under suspicion, stays in
        memory as well.
        """
        for other in self._work.line_up.connected(keys):
            if other.parked:
                continue
            del self._work.live[other.position]
            if other.stage in UNDER_WAY or self._work.suspicion.times(other):
                self.lines.in_hand.add(other.position)
            else:
                self._work.line_up.remove(other)
            self._park(other)

    def resend(self, letter: DeadLetter, keys: tuple[Key, ...], edited: Edited | None = None) -> bool:
        """
        Park a dead letter behind everything else in its lines. False if that was done already.

        edited  see Runner.resend
        """
        work = self._work
        if letter.position in self._resending or work.tools.reader.dead(work.config.id, letter.position) is None:
            return False
        self._resending.add(letter.position)
        self._join_again(letter, keys, edited)
        return True

    def _join_again(self, letter: DeadLetter, keys: tuple[Key, ...], edited: Edited | None) -> None:
        number, position = self._work.config.id, letter.position
        if position in self._work.live or position in self.lines.in_hand:  # its death is still being written
            self._work.tools.recorder.record(Record(then=partial(self._join_again, letter, keys, edited)))
            return
        parked = Parked(
            position=position,
            parked_at=max(self._work.now_ms(), letter.died_at + 1),
            received_at=letter.event.stamp.received_at,
            keys=keys,
            resent=True,
            event=letter.event,
        )

        def also(store: DeliveryStore) -> None:
            store.set_progress(number, position, Progress(parts=letter.parts))
            store.remove_dead(number, position)
            if edited is not None:
                store.edited.put(number, position, edited)

        self.park_with(keys)
        self.lines.join(
            parked,
            then=lambda: self._resending.discard(position),
            failed=lambda _: self._resending.discard(position),  # the letter stays
            also=also,
        )

    def rejoin(
        self, parked: Parked, *, also: Callable[[DeliveryStore], None], failed: Callable[[Exception], None]
    ) -> None:
        """Park an event that had ended, for a replay, behind everything else in its lines. See ParkedLines.join."""
        self.joining.add(parked.position)

        def undone(error: Exception) -> None:
            self.joining.discard(parked.position)
            failed(error)

        self.park_with(parked.keys)
        self.lines.join(parked, then=lambda: self.joining.discard(parked.position), failed=undone, also=also)

    def give_back(
        self,
        entry: Entry,
        progress: Progress,
        attempts: Sequence[Attempt],
        *,
        also: Callable[[DeliveryStore], None] | None = None,
    ) -> None:
        """
        A parked event waits for its next try on disk, and so do those that were loaded behind it.

        also  is done to the store in the same commit
        """
        number, position = self._work.config.id, entry.position
        for other in self._work.line_up.connected(entry.keys):
            if other.loaded and other.stage in (Stage.waiting, Stage.loading):
                self._put_down(other)
        entry.stage = Stage.recording

        def before(store: DeliveryStore) -> None:
            store.set_progress(number, position, progress)
            if also is not None:
                also(store)

        self._work.tools.recorder.record(
            Record(
                before=before,
                attempts=attempts,
                then=partial(self._put_down, entry),
                failed=lambda _: self._work.line_up.delay(entry, progress.due_at / 1000),  # in memory, then
            )
        )

    def _put_down(self, entry: Entry) -> None:
        if entry.skipped_by:  # while this was being written
            row = skip_row(self._work, entry.position, entry.skipped_by)
            self.endings.end(entry, State.skipped, SKIPPED_BY_HAND, [row])
            return
        self._work.line_up.remove(entry)
        self._work.suspicion.forget(entry)
        self.lines.take_out(entry)
        self.lines.put_down(entry.position, entry.keys)
        self._wake()

    def stop(self) -> None:
        for task in self._reading:
            task.cancel()

    def _load(self, parked: Parked, progress: Progress | None) -> None:
        entry = Entry(parked.position, parked.received_at, parked.keys)
        entry.parked = entry.loaded = True
        entry.resent_at = parked.parked_at if parked.resent else 0
        if progress is not None:
            entry.resume(progress)
            entry.next_at = 0.0
        self._work.line_up.add(entry)
        if self._work.switched_off(entry.position, entry.resent_at):
            self.endings.end(entry, State.skipped, SWITCHED_OFF)
        elif parked.event is not None:
            self._loaded(entry, parked.event)
        else:
            task = asyncio.get_running_loop().create_task(self._read_again(entry))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _read_again(self, entry: Entry) -> None:
        partition, offset = entry.position
        while True:
            try:
                items = await self._work.tools.log.read(partition, offset - 1, 1)
                break
            except Exception:
                log.exception("delivery.cannot_read_again", position=entry.position)
                await asyncio.sleep(READ_AGAIN)
        found = items[0] if items and items[0].position == entry.position else None
        if entry.stage is not Stage.loading:
            return  # it has ended meanwhile, or is on disk again
        match found:
            case Stored(_, event):
                self._loaded(entry, event)
            case Damaged(_, reason):
                log.error("delivery.damaged_record", position=entry.position, reason=reason)
                self.endings.end(entry, State.dead, DAMAGED)
            case None:
                self.endings.end(entry, State.expired, TRIMMED)

    def _loaded(self, entry: Entry, event: Stamped) -> None:
        entry.hold(event)
        self._work.line_up.loaded(entry)
        self._wake()
