"""
Whose fault is a refusal? 401 and 403 may mean the token, or a firewall that dislikes one event's text. Pure.

The destination is paused once three answers in a row, for events of different keys, refuse (or three attempts of the
only waiting event), with no success between. A success says that the refused events alone are to blame.
"""

from collections import deque
from collections.abc import Hashable
from enum import Enum

from milonga.delivery.retry import Backoff

IN_A_ROW = 3  #: refusals that pause a destination
LAST = 100  #: endings looked back upon
TOO_MANY_BAD = 50  #: dead letters among them that pause it


class Verdict(Enum):
    wait = "wait"  #: not sure yet: ask again soon
    pause = "pause"


class Suspicion:
    """`T` is whatever stands for an event; it comes back when the event turns out to be the culprit."""

    def __init__(self) -> None:
        self._refused: dict[object, int] = {}
        self._keys: set[Hashable] = set()
        self._last: deque[bool] = deque(maxlen=LAST)

    def refused(self, event: object, key: Hashable, *, only_one: bool) -> Verdict:
        """only_one  no other event of the destination waits or is under way"""
        times = self._refused[event] = self._refused.get(event, 0) + 1
        self._keys.add(key)
        if len(self._keys) >= IN_A_ROW or (only_one and times >= IN_A_ROW):
            return Verdict.pause
        return Verdict.wait

    def times(self, event: object) -> int:
        return self._refused.get(event, 0)

    def delivered(self) -> list[object]:
        """A success: return the events that were refused while others pass. They are dead letters."""
        self._last.append(False)
        if not self._refused:
            return []
        culprits = list(self._refused)
        self._refused.clear()
        self._keys.clear()
        return culprits

    def forget(self, event: object) -> None:
        """It ended in another way."""
        self._refused.pop(event, None)

    def bad_event(self) -> Verdict:
        """An event became a dead letter. Pause if half of the last hundred did: then it is hardly the events."""
        self._last.append(True)
        if sum(self._last) >= TOO_MANY_BAD and len(self._last) == LAST:
            return Verdict.pause
        return Verdict.wait

    def clear(self) -> None:
        """New settings, or a human who resumed: judge afresh."""
        self._refused.clear()
        self._keys.clear()
        self._last.clear()


ASK_AGAIN = Backoff(first=1.0, longest=10.0)  #: between two tries of a refused event
