"""
Events that ended with one reason, to choose from: narrowed by what they say, newest end first, page by page. What a
filter lets through is found by looking at the events themselves, for a while; the page says where it stopped.
"""

import time
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from milonga.delivery.selection import Selection
from milonga.facts.facts import Facts, Place
from milonga.facts.problems import Example, newest
from milonga.outcomes.examples import NEWEST, Mark
from milonga.outcomes.model import State

AT_ONCE: Final = 100  #: events that are read together
LOOK: Final = 0.08  #: seconds of one page
EVER: Final = 2**62  #: unix milliseconds, beyond every arrival


class Ended(Struct, frozen=True):
    """
    next     where the next page begins; None if there is none
    stopped  it ends because it looked long enough, or cannot know all, not because it is full
    """

    events: list[Example]
    next: Mark | None
    stopped: bool


def everything(place: Place) -> Selection:
    """Whatever came from the destination's source."""
    return Selection(source=place.config.source, since=0, until=EVER)


def ended(
    facts: Facts,
    place: Place,
    state: State,
    code: str,
    wanted: Selection,
    *,
    before: Mark = NEWEST,
    limit: int,
    seconds: float = LOOK,
) -> Ended:
    """
    Those that fit, and, if nothing is narrowed, those that have left the log, too. Each outcome counts: an event may
    have ended otherwise since (`Example.since`).

    wanted  what the events say; its code and positions do not matter here
    """
    narrowed = wanted != everything(place)
    found: list[Example] = []
    deadline, mark, unknown = time.monotonic() + seconds, before, False
    while True:
        some, page = newest(facts, place.config.id, state, code, before=mark, limit=AT_ONCE if narrowed else limit)
        unknown |= page.stopped
        for one in some:
            if len(found) == limit:
                return Ended(found, mark, unknown)
            mark = Mark(one.outcome.ended_at, *one.outcome.position)
            if one.outcome.ended_at < wanted.since:
                return Ended(found, None, unknown)  # what ended earlier has arrived earlier
            if not narrowed or (one.stored is not None and wanted.fits(one.stored)):
                found.append(one)
        if page.next is None or len(found) == limit or time.monotonic() > deadline:
            return Ended(found, page.next, unknown or (page.next is not None and len(found) < limit))
        mark = page.next


def all_ended(facts: Facts, place: Place, state: State, code: str, wanted: Selection) -> Iterator[list[Example]]:
    """All of them, some at a time."""
    mark: Mark | None = NEWEST
    while mark is not None:
        page = ended(facts, place, state, code, wanted, before=mark, limit=AT_ONCE, seconds=1.0)
        yield page.events
        mark = page.next


def may_be_sent(one: Example) -> bool:
    """Whether its bytes are there, and it has not ended otherwise since."""
    return one.stored is not None and not one.stored.event.stamp.is_erased and one.since is None
