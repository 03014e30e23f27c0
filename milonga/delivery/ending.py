"""The end of an event: its outcome is written, and only then do its lines go on."""

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from milonga.delivery.entry import Entry, Stage
from milonga.delivery.parked_lines import ParkedLines
from milonga.delivery.recorder import Record
from milonga.delivery.rows import DeadLetter
from milonga.delivery.store import DeliveryStore
from milonga.delivery.suspicion import Verdict
from milonga.delivery.work import Work
from milonga.eventlog.api import Position
from milonga.outcomes.model import Attempt, Outcome, State
from milonga.workspace.model import DestinationState

log = structlog.get_logger("milonga.delivery")

SWITCHED_OFF = "destination_off"
TOO_OLD = "too_old"
TOO_LATE = "too_late"
TRIED_TOO_LONG = "tried_too_long"
TRIMMED = "log_trimmed"
DAMAGED = "damaged_record"
USER_DELETED = "user_deleted"
SKIPPED_BY_HAND = "skipped_by_hand"


class Endings:
    """
    left  called with the position of an event that no longer holds the watermark
    wake  called when there is room, or something ready, again
    """

    def __init__(
        self, work: Work, lines: ParkedLines, left: Callable[[Position], None], wake: Callable[[], None]
    ) -> None:
        self._work, self._lines, self._left, self._wake = work, lines, left, wake

    def end(
        self,
        entry: Entry,
        state: State,
        code: str = "",
        attempts: Sequence[Attempt] = (),
        *,
        letter: DeadLetter | None = None,
    ) -> None:
        """Decide its outcome; once that is durable its lines go on. `letter` if it becomes, or is, a dead one."""
        work = self._work
        work.suspicion.forget(entry)
        entry.stage = Stage.recording
        progress = entry.progress
        outcome = Outcome(
            destination=work.config.id,
            position=entry.position,
            state=state,
            code=code,
            attempts=progress.attempts,
            perhaps=progress.perhaps,
            received_at=entry.received_at,
            ended_at=max(work.now_ms(), entry.resent_at) if letter is None else letter.died_at,
            settings_version=work.config.settings_version,
            replay=work.replay_of(entry.position),
        )
        before = partial(_prepare, entry, work.config.id, letter) if entry.parked or letter is not None else None
        then = partial(self._recorded, entry, outcome)
        work.tools.recorder.record(Record(before=before, outcome=outcome, attempts=attempts, then=then))

    def deliver(self, entry: Entry, attempts: Sequence[Attempt] = ()) -> None:
        if not self._work.is_resent(entry):
            self._work.suspicion.ended(bad=False)
        self.end(entry, State.delivered, "", attempts)

    def die(self, entry: Entry, code: str, reason: str, attempts: Sequence[Attempt] = ()) -> None:
        """It becomes a dead letter. Too many of them pause the destination; a resent one counts no second time."""
        work = self._work
        assert entry.stored is not None  # noqa: S101 - only what was sent can be refused
        if work.is_doomed(entry.stored, entry.position):
            return self.end(entry, State.skipped, USER_DELETED)
        letter = DeadLetter(
            destination=work.config.id,
            position=entry.position,
            died_at=max(work.now_ms(), entry.resent_at),
            code=code,
            reason=reason,
            parts=entry.progress.parts,
            event=entry.stored,
        )
        self.end(entry, State.dead, code, attempts, letter=letter)
        if not work.is_resent(entry) and work.suspicion.ended(bad=True) is Verdict.pause and work.is_on:
            reason = f"Half of the last 100 events were refused, the last one because: {reason}"
            work.ask_for(DestinationState.paused, "settings", reason)
        return None

    def _recorded(self, entry: Entry, outcome: Outcome) -> None:
        work = self._work
        work.line_up.turns.release(entry)
        work.live.pop(entry.position, None)
        if entry.number:  # it stood in the line-up
            work.line_up.remove(entry)
            self._lines.take_out(entry)
        if entry.parked:
            self._lines.leave(entry.position, entry.keys, tracked=entry.tracked, outcome=outcome)
        else:
            if entry.tracked:
                number, position = work.config.id, entry.position
                work.tools.recorder.record(Record(before=lambda store: store.drop_progress(number, position)))
            self._left(entry.position)
            self._lines.look_at(entry.keys)
        self._wake()


def skip_row(work: Work, position: Position, by: str) -> Attempt:
    """Among the tries of an event that is skipped by hand: who did it."""
    log.info("delivery.skipped_by_hand", destination=work.config.name, position=position, by=by)
    return Attempt(
        destination=work.config.id,
        position=position,
        at=work.now_ms(),
        part="",
        code=SKIPPED_BY_HAND,
        reason=f"Skipped by hand, by {by or 'somebody'}.",
        status=None,
        ms=0,
        perhaps=False,
        answer=b"",
    )


def _prepare(entry: Entry, destination: int, letter: DeadLetter | None, store: DeliveryStore) -> None:
    """What must be durable before its outcome is."""
    if letter is not None:
        store.add_dead(letter)
    if entry.parked:
        store.mark_ending(destination, entry.position)
