"""
What people ask of dead letters: to send them again, as they are or edited, or to throw them away. A slice at a time, so
that many hold up nobody. And what they edit of what is parked.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from milonga.delivery.by_hand import Done
from milonga.delivery.editing import Edited, edited
from milonga.delivery.letter_list import LetterFilter, letters
from milonga.delivery.parked_editing import ParkedEditWish
from milonga.delivery.recorder import Record, Recorder
from milonga.delivery.rows import DeadLetter, event_of
from milonga.delivery.runner import Runner
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position
from milonga.privacy.subject import users_of_stamped
from milonga.workspace.model import Command, DestinationState

AT_ONCE: Final = 100  #: letters that are looked at in one turn of the loop

LOOK_AT: Final = 1_000  #: and so many for those that fit: some 10 milliseconds

RESEND, DISCARD, EDIT = "resend", "discard", "edit"  #: kinds of commands
KINDS: Final = (RESEND, DISCARD, EDIT)

OFF: Final = "The destination is off, and takes no events. Switch it on, or pause it, and ask again."
GONE: Final = "There is no such dead letter any more: it was resent or discarded."
AGAIN: Final = "It was resent meanwhile, and refused once more. Look at it anew."
SUPPRESSED: Final = "A regulation says that nothing is kept or sent of this user."
DELETED: Final = "Its user is being deleted."


class LetterWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Which letters: those at these places, or those that fit and had died when it was asked for.

    destination  its id
    positions    (partition, offset)
    by           who asks
    """

    destination: int
    positions: list[tuple[int, int]] | None = None
    wanted: LetterFilter | None = None
    by: str = ""


class EditWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    died_at  unix milliseconds, as whoever asks saw it; None: whichever
    event    the text that goes out instead
    """

    destination: int
    position: tuple[int, int]
    event: str
    died_at: int | None = None
    by: str = ""


class Refused(Exception):
    """Why it is not done, in words."""


class Letters:
    """suppressed  whether a regulation suppresses one of these users at a source"""

    def __init__(
        self,
        reader: DeliveryReader,
        recorder: Recorder,
        runner_of: Callable[[int], Runner | None],
        suppressed: Callable[[int, Collection[str]], bool],
    ) -> None:
        self._reader, self._recorder, self._runner_of, self._suppressed = reader, recorder, runner_of, suppressed

    def carry_out(self, command: Command, wish: LetterWish, done: Done) -> Iterator[None]:
        """Step by step, counting what is done. Refused."""
        runner = self._working(wish.destination, sends=command.kind == RESEND)
        for some in self._slices(wish, command.asked_at):
            for letter in some:
                if command.kind == RESEND:
                    done.done += runner.resend(letter)
                else:
                    discard = partial(_discard, letter.destination, letter.position)
                    self._recorder.record(Record(before=discard))
                    done.done += 1
            yield

    def edit(self, wish: EditWish, now: int) -> None:
        """now  unix milliseconds. Refused; NotValid"""
        runner = self._working(wish.destination, sends=True)
        letter = self._reader.dead(wish.destination, Position(*wish.position))
        if letter is None:
            raise Refused(GONE)
        if wish.died_at not in (None, letter.died_at):
            raise Refused(AGAIN)
        event = edited(letter.event, wish.event)
        if self._suppressed(event.stamp.source, users_of_stamped(event)):
            raise Refused(SUPPRESSED)
        mended = replace(letter, event=event)
        if not runner.resend(mended, Edited(at=now, by=wish.by, event=event)):
            raise Refused(DELETED)

    def edit_parked(self, wish: ParkedEditWish) -> None:
        """Of an event that waits. Refused"""
        runner = self._working(wish.destination, sends=False)
        event = event_of(wish.stamp.encode(), wish.event.encode())
        if self._suppressed(event.stamp.source, users_of_stamped(event)):
            raise Refused(SUPPRESSED)
        if why := runner.edit_parked(wish):
            raise Refused(why)

    def _working(self, destination: int, *, sends: bool) -> Runner:
        runner = self._runner_of(destination)
        if runner is None:
            raise Refused("There is no such destination.")
        if sends and runner.config.state is DestinationState.off:
            raise Refused(OFF)
        return runner

    def _slices(self, wish: LetterWish, asked_at: int) -> Iterator[list[DeadLetter]]:
        """Those at places in the order of the log, so that they join their lines in it; else the oldest death first."""
        if wish.positions is not None:
            places = sorted({Position(*place) for place in wish.positions})
            for begin in range(0, len(places), AT_ONCE):
                found = (self._reader.dead(wish.destination, place) for place in places[begin : begin + AT_ONCE])
                yield [letter for letter in found if letter is not None]
            return
        wanted = wish.wanted or LetterFilter()
        until = asked_at + 1 if wanted.until is None else min(wanted.until, asked_at + 1)
        wanted, mark = replace(wanted, until=until), None
        while True:
            page = letters(
                self._reader,
                wanted,
                wish.destination,
                beyond=mark,
                limit=AT_ONCE,
                newest_first=False,
                look_at=LOOK_AT,
            )
            yield page.letters
            if page.next is None:
                return
            mark = page.next


def _discard(destination: int, position: Position, store: DeliveryStore) -> None:
    store.remove_dead(destination, position)
