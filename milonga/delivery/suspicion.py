"""
Whose fault is a refusal? 401 and 403 may mean the token, or a firewall that dislikes one event's text. Pure.

The destination is paused once three answers in a row, for events of different keys, refuse, with no success between;
or three attempts of one event when there is no other to ask. A success says that the refused events alone are to blame.
"""

from collections import deque
from collections.abc import Hashable
from enum import Enum

from milonga.delivery.retry import Backoff

IN_A_ROW = 3  #: refusals that pause a destination
LONG_ENOUGH = 10  #: refusals of one event that pause it although others, which never come to be asked, wait too
LAST = 100  #: events looked back upon
TOO_MANY_BAD = 50  #: dead letters among them that pause it
ASK_AGAIN = Backoff(first=1.0, longest=10.0)  #: between two tries of a refused event


class Verdict(Enum):
    wait = "wait"  #: not sure yet: ask again soon
    pause = "pause"


class Suspicion:
    """An event is whatever stands for it; it comes back when it turns out to be the culprit."""

    def __init__(self) -> None:
        self._refused: dict[Hashable, int] = {}
        self._keys: set[Hashable] = set()
        self._last: deque[bool] = deque(maxlen=LAST)

    def refused(self, event: Hashable, key: Hashable, *, only_one: bool) -> Verdict:
        """only_one  no other event is there to ask with"""
        times = self._refused[event] = self._refused.get(event, 0) + 1
        self._keys.add(key)
        if len(self._keys) >= IN_A_ROW or times >= (IN_A_ROW if only_one else LONG_ENOUGH):
            return Verdict.pause
        return Verdict.wait

    def times(self, event: Hashable) -> int:
        """How often it was refused with no success since."""
        return self._refused.get(event, 0)

    def success(self) -> list[Hashable]:
        """Return the events that were refused while others pass: they are dead letters."""
        if not self._refused:
            return []
        culprits = list(self._refused)
        self._refused.clear()
        self._keys.clear()
        return culprits

    def forget(self, event: Hashable) -> None:
        """It is no longer at hand."""
        if self._refused:
            self._refused.pop(event, None)

    def ended(self, *, bad: bool) -> Verdict:
        """An event was delivered, or became a dead letter. Half of the last hundred bad: hardly the events' fault."""
        self._last.append(bad)
        if bad and len(self._last) == LAST and sum(self._last) >= TOO_MANY_BAD:
            return Verdict.pause
        return Verdict.wait

    def clear(self) -> None:
        """New settings, or a human who resumed: judge afresh."""
        self._refused.clear()
        self._keys.clear()
        self._last.clear()
