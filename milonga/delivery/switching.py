"""
What a destination's on/off history means for an event, by its offset alone. Pure.

Switching on begins behind the log's end at that moment, switching off ends what waits up to it; what comes between the
two concerns nobody.
"""

from collections.abc import Sequence
from enum import Enum

from milonga.eventlog.api import Offset
from milonga.workspace.model import DestinationState, StateChange


class Fate(Enum):
    deliver = "deliver"
    switched_off = "switched_off"  #: it waited when the destination was switched off
    never = "never"  #: it came while the destination did not exist or was off


def spans(changes: Sequence[StateChange], partition: int) -> list[tuple[Offset, Offset | None]]:
    """(after, upto) of each spell in which the destination took events; `upto` is None for one that goes on."""
    found: list[tuple[Offset, Offset | None]] = []
    taking = False
    for change in changes:
        end = change.end.get(partition, 0)
        if change.state is DestinationState.off:
            if taking:
                found[-1] = (found[-1][0], end)
            taking = False
        elif not taking:
            found.append((end, None))
            taking = True
    return found


def fate(taken: Sequence[tuple[Offset, Offset | None]], offset: Offset) -> Fate:
    """`taken` as `spans` gives it."""
    for after, upto in reversed(taken):
        if offset > after:
            if upto is None:
                return Fate.deliver
            return Fate.switched_off if offset <= upto else Fate.never
    return Fate.never


def gap_end(taken: Sequence[tuple[Offset, Offset | None]], offset: Offset) -> Offset:
    """Where to read on: behind the gap this offset lies in, or from here if something of a spell is left to read."""
    for after, _ in taken:
        if after > offset and all(upto is not None and upto <= offset for a, upto in taken if a < after):
            return after
    return offset


def first_offset(changes: Sequence[StateChange], partition: int) -> Offset:
    """The offset behind which the first spell began."""
    found = spans(changes, partition)
    return found[0][0] if found else max((c.end.get(partition, 0) for c in changes), default=0)


def paused_within(changes: Sequence[StateChange], since: int, until: int) -> int:
    """Milliseconds of the time from `since` to `until` (unix milliseconds) in which the destination was paused."""
    total = 0
    for change, following in zip(changes, [*changes[1:], None], strict=True):
        if change.state is DestinationState.paused:
            ended = until if following is None else min(following.at, until)
            total += max(0, ended - max(change.at, since))
    return total
