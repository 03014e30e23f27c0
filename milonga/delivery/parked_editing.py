"""
A parked event that somebody mends, such as the first of a line that the receiver does not take. It goes out in the
place of what arrived, and from its place: so it may wait behind no other key than those that it stands in already, and
the order of all lines is what it was.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from milonga.delivery.editing import Edited
from milonga.delivery.entry import UNDER_WAY, Entry, Stage
from milonga.delivery.parking import Parking
from milonga.delivery.recorder import Record
from milonga.delivery.rows import Parked, event_of, key_text
from milonga.delivery.store import DeliveryStore
from milonga.delivery.work import Work
from milonga.destinations.contract import Destination, Key
from milonga.eventlog.api import Position
from milonga.spec.read import read_stamped
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationConfig, DestinationState

KIND: Final = "parked_edit"  #: of the command

NOT_PARKED: Final = "This event is not parked any more, or was parked anew. Look at it again."
BUSY: Final = "This event is on its way, or goes back to disk, just now. Try again in a moment."
OF_A_REPLAY: Final = (
    "This event waits for a replay, which sends what arrived. Stop the replay first, or skip the event."
)
OFF: Final = "The destination is off: what waits ends as skipped."
DELETED: Final = "Its user is being deleted."
ELSEWHERE: Final = (
    "Edited so, it would have to wait behind {key}, where it does not stand: from its place it can only go out for the "
    "same account and user. Skip it, and have its sender send the right one."
)


class ParkedEditWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    destination  its id
    parked_at    unix milliseconds, as whoever asks saw it
    stamp, event  of what goes out instead, as milonga.delivery.editing made it
    by           who asks
    """

    destination: int
    position: tuple[int, int]
    parked_at: int
    stamp: str
    event: str
    by: str = ""


def elsewhere(
    kind: Destination, config: DestinationConfig, event: Stamped, keys: Sequence[Key], position: Position
) -> str:
    """Why it cannot go out from where the event with these keys stands; "" if it can."""
    own = ((f"#{position.partition}.{position.offset}",),)
    wanted = kind.keys(read_stamped(event), config.settings) or own
    return next((ELSEWHERE.format(key=key_text(key)) for key in wanted if key not in keys), "")


def edit(work: Work, parking: Parking, wish: ParkedEditWish) -> str:
    """It is done once all that was asked for so far is written. Why it is not; "" if it is."""
    number, position = work.config.id, Position(*wish.position)
    parked = work.tools.reader.parked(number, position)
    if parked is None or parked.parked_at != wish.parked_at:
        return NOT_PARKED
    if work.config.state is DestinationState.off:
        return OFF
    if work.replay_of(position):
        return OF_A_REPLAY
    event = event_of(wish.stamp.encode(), wish.event.encode())
    if work.is_doomed(event, position):
        return DELETED
    if wrong := elsewhere(work.kind, work.config, event, parked.keys, position):
        return wrong
    also = partial(_write, number, position, Edited(at=work.now_ms(), by=wish.by, event=event))
    entry = next((one for one in work.line_up.lanes.standing(parked.keys[0]) if one.position == position), None)
    if entry is None:
        return _on_disk(work, parking, parked, also)
    if entry.stage in UNDER_WAY or not entry.parked:
        return BUSY
    return _in_memory(parking, entry, also)


def _on_disk(work: Work, parking: Parking, parked: Parked, also: partial[None]) -> str:
    """Until it is written, nobody brings back what was there before."""
    lines = parking.lines
    if parked.position in lines.in_hand:
        return BUSY
    lines.in_hand.add(parked.position)
    done = partial(lines.put_down, parked.position, parked.keys)
    work.tools.recorder.record(Record(before=also, then=done, failed=lambda _: done()))
    return ""


def _in_memory(parking: Parking, entry: Entry, also: partial[None]) -> str:
    """It goes back to disk, and comes again from there."""
    entry.stage = Stage.recording
    fresh = replace(entry.progress, attempts=0, next_at=0, code="", reason="", failing_since=0)
    parking.give_back(entry, fresh, (), also=also)
    return ""


def _write(destination: int, position: Position, edited: Edited, store: DeliveryStore) -> None:
    store.edit_parked(destination, position, edited.event)
    store.edited.put(destination, position, edited)
