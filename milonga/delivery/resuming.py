"""
What a destination finds of itself when it starts: what became of events that its position does not cover yet, and what
a crash left half done. The order of commits that makes this possible stands in milonga.delivery.store.
"""

from collections.abc import Mapping, Set
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from milonga.delivery.parked_lines import ParkedLines
from milonga.delivery.recorder import Record
from milonga.delivery.rows import DeadLetter, Progress
from milonga.delivery.store import DeliveryStore
from milonga.delivery.work import Work
from milonga.eventlog.api import Offset, Position
from milonga.outcomes.model import Outcome, State

AT_ONCE: Final = 50_000  #: offsets whose outcomes are looked up at once; more than a window, so that once is the rule
END: Final = 2**62  #: an offset beyond every other


class Known(Struct, frozen=True):
    """
    Of events behind the position of one partition.

    settled   ended, or parked: nothing of them is to be read again
    progress  of those that were tried
    upto      what ended is known up to this offset: ask for more (`further`) before going beyond it
    """

    settled: Set[Offset] = frozenset()
    progress: Mapping[Offset, Progress] = {}
    upto: Offset = END
    lasting: Set[Offset] = frozenset()

    def further(self, work: Work, partition: int, after: Offset) -> "Known":
        """The same behind `after`, before which nothing is of interest any more."""
        upto = after + AT_ONCE
        ended = work.tools.outcomes.finished_after(work.config.id, partition, after, upto)
        return replace(self, settled=ended | self.lasting, upto=upto)


def known_after(work: Work, partition: int, start: Offset) -> Known:
    """Also completes what a crash left half done among them."""
    number, reader, recorder = work.config.id, work.tools.reader, work.tools.recorder
    upto = start + AT_ONCE
    ended = work.tools.outcomes.finished_after(number, partition, start, upto)
    parked = reader.parked_after(number, partition, start)
    progress = reader.progress_after(number, partition, start)
    letters = reader.dead_after(number, partition, start)
    far = {offset for offset in (*progress, *(letter.position.offset for letter in letters)) if offset > upto}
    ended |= {at.offset for at in work.tools.outcomes.last_ended(number, (Position(partition, one) for one in far))}
    lasting = set(parked)
    for letter in letters:
        if letter.position.offset not in ended | parked:
            ended.add(letter.position.offset)
            lasting.add(letter.position.offset)
            found = progress.get(letter.position.offset, Progress())
            recorder.record(Record(outcome=_outcome_of(letter, found, work)))

    gone = [offset for offset in progress if offset in ended and offset not in parked]

    def drop_progress(store: DeliveryStore) -> None:
        store.drop_old_progress(number, partition, start)
        for offset in gone:
            store.drop_progress(number, Position(partition, offset))

    recorder.record(Record(before=drop_progress))
    return Known(ended | lasting, progress, upto, lasting)


def finish_parked(work: Work, lines: ParkedLines) -> None:
    """Parked events whose outcome was being written when a crash came: those that have it leave their lines."""
    number, reader = work.config.id, work.tools.reader
    ending = {parked.position: parked for parked in reader.parked_ending(number)}
    ended = work.tools.outcomes.last_ended(number, ending)
    for position, parked in ending.items():
        letter = reader.dead(number, position)
        # An outcome from before it was resent does not count; a dead letter from before is gone.
        if ended.get(position, -1) < (parked.parked_at if parked.resent else 0):
            if letter is None:
                continue
            progress = reader.progress(number, position) or Progress()
            outcome: Outcome | None = _outcome_of(letter, progress, work)
            work.tools.recorder.record(Record(outcome=outcome))
        else:
            outcome = next((o for o in work.tools.outcomes.of(position) if o.destination == number), None)
        lines.in_hand.add(position)
        lines.leave(position, parked.keys, tracked=True, outcome=outcome)


def _outcome_of(letter: DeadLetter, progress: Progress, work: Work) -> Outcome:
    return Outcome(
        destination=letter.destination,
        position=letter.position,
        state=State.dead,
        code=letter.code,
        attempts=progress.attempts + 1,
        perhaps=progress.perhaps,
        received_at=letter.event.stamp.received_at,
        ended_at=letter.died_at,
        settings_version=work.config.settings_version,
        replay=work.replay_of(letter.position),
    )
