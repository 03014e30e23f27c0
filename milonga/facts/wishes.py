"""
What people ask of dead letters, parked keys and replays, as commands that delivery carries out within 5 seconds
(milonga.workspace.commands). Each returns the command's number, by which its answer is read.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from milonga.delivery.by_hand import RELEASE, RETRY, SKIP
from milonga.delivery.by_hand import Wish as ParkedWish
from milonga.delivery.editing import edited
from milonga.delivery.letter_list import LetterFilter
from milonga.delivery.letters import AGAIN, DISCARD, EDIT, GONE, OFF, RESEND, SUPPRESSED, EditWish, LetterWish
from milonga.delivery.parked_editing import KIND as EDIT_PARKED
from milonga.delivery.parked_editing import NOT_PARKED, ParkedEditWish, elsewhere
from milonga.delivery.replay_rows import Replay, ReplayState
from milonga.delivery.rows import Parked, stamp_bytes
from milonga.delivery.selection import Selection
from milonga.eventlog.api import Position, Stored
from milonga.facts.facts import Facts, Place
from milonga.privacy.subject import users_of_stamped
from milonga.spec.stored import Stamped
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.model import DestinationState

LINES: Final = 1_000  #: parked keys of one command
RATE: Final = 50.0  #: events a second of a replay, unless somebody says otherwise
RATES: Final = (0.1, 10_000.0)  #: the least and the most

DEEDS: Final = {RETRY: "tried again now", SKIP: "skipped", RELEASE: "released"}


def resend(
    facts: Facts,
    place: Place,
    *,
    positions: Sequence[Position] | None = None,
    wanted: LetterFilter | None = None,
    by: str,
) -> int:
    """Dead letters of one destination: those at these places, or all that fit. UserError if it is off."""
    _takes(place)
    return _ask(facts, RESEND, _letters(place, positions, wanted, by), by)


def discard(
    facts: Facts,
    place: Place,
    *,
    positions: Sequence[Position] | None = None,
    wanted: LetterFilter | None = None,
    by: str,
) -> int:
    """The same ones, for good."""
    return _ask(facts, DISCARD, _letters(place, positions, wanted, by), by)


def _letters(place: Place, positions: Sequence[Position] | None, wanted: LetterFilter | None, by: str) -> LetterWish:
    where = None if positions is None else [(at.partition, at.offset) for at in positions]
    return LetterWish(destination=place.config.id, positions=where, wanted=wanted, by=by)


def check_edit(facts: Facts, place: Place, position: Position, text: str) -> Stamped:
    """
    What would go out in its place. milonga.delivery.editing.NotValid if the text is no event; UserError if it cannot
    be sent.
    """
    letter = None if facts.delivery is None else facts.delivery.dead(place.config.id, position)
    if letter is None:
        raise UserError(GONE)
    _takes(place)
    event = edited(letter.event, text)
    _refuse_suppressed(facts, event)
    return event


def edit(facts: Facts, place: Place, position: Position, text: str, *, died_at: int | None = None, by: str) -> int:
    """
    Sends the text in place of a dead letter. Raises what `check_edit` does.

    died_at  unix milliseconds, as whoever edited it saw it
    """
    check_edit(facts, place, position, text)
    letter = None if facts.delivery is None else facts.delivery.dead(place.config.id, position)
    if letter is None or died_at not in (None, letter.died_at):
        raise UserError(GONE if letter is None else AGAIN)
    at = (position.partition, position.offset)
    wish = EditWish(destination=place.config.id, position=at, event=text, died_at=died_at, by=by)
    return _ask(facts, EDIT, wish, by)


def parked_event(facts: Facts, place: Place, position: Position) -> tuple[Parked, Stamped]:
    """One that waits, and what goes out of it: what arrived, unless somebody has changed it. UserError"""
    found = None if facts.delivery is None else facts.delivery.parked(place.config.id, position)
    if found is None:
        raise NotThere("This event is not parked any more: it went on, or was skipped.")
    if found.event is not None:
        return found, found.event
    stored = facts.log.at(position)
    if not isinstance(stored, Stored) or stored.event.stamp.is_erased:
        raise NotThere("This event has left the log, or cannot be read: it cannot be edited.")
    return found, stored.event


def check_parked_edit(facts: Facts, place: Place, position: Position, text: str) -> tuple[Parked, Stamped]:
    """
    What would go out in its place, from its place. milonga.delivery.editing.NotValid if the text is no event; UserError
    if it cannot be sent from there.
    """
    found, before = parked_event(facts, place, position)
    _takes(place)
    event = edited(before, text)
    _refuse_suppressed(facts, event)
    kind = facts.workspace.kinds.get(place.config.kind)
    if kind is not None and (wrong := elsewhere(kind, place.config, event, found.keys, position)):
        raise UserError(wrong)
    return found, event


def edit_parked(
    facts: Facts, place: Place, position: Position, text: str, *, parked_at: int | None = None, by: str
) -> int:
    """
    Sends the text in place of a parked event. Raises what `check_parked_edit` does.

    parked_at  unix milliseconds, as whoever edited it saw it
    """
    found, event = check_parked_edit(facts, place, position, text)
    if parked_at not in (None, found.parked_at):
        raise UserError(NOT_PARKED)
    wish = ParkedEditWish(
        destination=place.config.id,
        position=(position.partition, position.offset),
        parked_at=found.parked_at,
        stamp=stamp_bytes(event).decode(),
        event=event.body.decode(),
        by=by,
    )
    return _ask(facts, EDIT_PARKED, wish, by)


def parked(
    facts: Facts, kind: str, place: Place, lines: Sequence[tuple[str, Position]], *, whole: bool = False, by: str
) -> int:
    """
    kind   RETRY, SKIP or RELEASE
    lines  keys as text, and the first event behind each as whoever asks saw it; LINES at most
    whole  of SKIP: all that waits behind each key by now, rather than the first event
    """
    first = [(text, *position) for text, position in lines]
    return _ask(facts, kind, ParkedWish(destination=place.config.id, lines=first, whole=whole, by=by), by)


def replay(facts: Facts, place: Place, wanted: Selection, *, rate: float, overwrite: bool, by: str) -> int:
    """UserError if the destination is off, or nothing can be in the range."""
    if place.config.state is DestinationState.off:
        raise UserError(f"{place.config.name} is off: enable it, or pause it, first.")
    if wanted.since >= wanted.until:
        raise UserError("The range is empty: it begins when it ends, or later.")
    least, most = RATES
    if not least <= rate <= most:
        raise UserError(f"Expected {least:g} to {most:,.0f} events a second, got {rate:g}.")
    args = {
        "destination": place.config.id,
        "wanted": msgspec.to_builtins(wanted),
        "rate": rate,
        "overwrite": overwrite,
        "by": by,
    }
    return facts.workspace.commands.ask("replay", args, by=by)


def set_replay(facts: Facts, number: int, state: ReplayState, *, by: str) -> int:
    """To hold one, let it go on, or end it for good. UserError if there is none, or it has ended."""
    found = None if facts.delivery is None else facts.delivery.replays.one(number)
    if found is None:
        raise UserError(f"There is no replay {number}.")
    if found.ended_at is not None:
        raise UserError(f"Replay {number} has ended already: {found.state.value}.")
    args = {"replay": number, "destination": found.destination, "state": state.value}
    return facts.workspace.commands.ask("set_replay", args, by=by)


def begun(facts: Facts, destination: int) -> Replay | None:
    """The replay that goes on there: one at a time."""
    return None if facts.delivery is None else facts.delivery.replays.first_unfinished(destination)


def _refuse_suppressed(facts: Facts, event: Stamped) -> None:
    for user in users_of_stamped(event):
        if not facts.workspace.regulations.suppressed(user).keys().isdisjoint((event.stamp.source, None)):
            raise UserError(SUPPRESSED)


def _takes(place: Place) -> None:
    if place.config.state is DestinationState.off:
        raise UserError(OFF)


def _ask(facts: Facts, kind: str, wish: Struct, by: str) -> int:
    args: dict[str, Any] = msgspec.to_builtins(wish)
    return facts.workspace.commands.ask(kind, args, by=by)
