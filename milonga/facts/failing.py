"""What keeps failing of one account while everybody else's events go on: why, when it is tried next, where it waits."""

from typing import Final

from msgspec import Struct

from milonga.delivery.parked_list import parked_keys
from milonga.eventlog.api import Position
from milonga.facts.facts import Facts

LOOKED: Final = 20  #: parked keys of the account


class Failing(Struct, frozen=True):
    """
    reason   of the last failure, in words
    next_at  unix milliseconds of the next try; None if it is not known
    parked   its line is on disk: milonga.facts.parked
    """

    reason: str
    next_at: int | None
    parked: bool


def failing(facts: Facts, destination: int, account: str, tried: Position | None) -> Failing | None:
    """
    Of its parked keys, the one that is tried first; else of the event that was tried. None if nothing has failed.

    tried  an event of it that failed and has not ended
    """
    if facts.delivery is None:
        return None
    keys = [one for one in parked_keys(facts.delivery, destination, account=account, limit=LOOKED) if one.code]
    if keys:
        one = min(keys, key=lambda one: (one.next_at is None, one.next_at or 0))
        return Failing(one.reason or one.code, one.next_at, parked=True)
    progress = None if tried is None else facts.delivery.progress(destination, tried)
    if progress is None or not progress.code:
        return None
    return Failing(progress.reason or progress.code, progress.due_at or None, parked=False)
