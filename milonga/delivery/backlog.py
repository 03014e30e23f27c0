"""How much waited for a destination, minute by minute: the most that did, and how old the oldest became. Pure."""

from typing import Final

from msgspec import Struct

MINUTE: Final = 60_000  #: milliseconds
WRITE_AGAIN: Final = 10_000  #: milliseconds between two rows of one minute: what waits grows older all the time


class Waited(Struct, frozen=True):
    """
    minute   unix milliseconds / 60,000
    waiting  events: the most at any look within it
    age      milliseconds since the arrival of the oldest of them, at the most; 0 if none waited
    """

    minute: int
    waiting: int
    age: int


class Backlog:
    """The highest of each minute. Looked at about once a second, told of much less often."""

    def __init__(self) -> None:
        self._most = self._told = Waited(0, 0, 0)
        self._told_at = 0

    def look(self, now: int, waiting: int, oldest_at: int | None) -> list[Waited]:
        """
        now        unix milliseconds
        oldest_at  unix milliseconds: arrival of the oldest that waits; None if none does

        What is to be written, each instead of what was there of its minute, if that is less. A minute of which there is
        a row is one in which somebody looked.
        """
        age = 0 if oldest_at is None else max(0, now - oldest_at)
        last, minute = self._most, now // MINUTE
        found: list[Waited] = []
        if minute != last.minute:
            if last != self._told:
                found.append(last)
            self._most = Waited(minute, waiting, age)
        else:
            self._most = Waited(minute, max(waiting, last.waiting), max(age, last.age))
            begins = self._told.waiting == 0 and self._most.waiting > 0
            if self._most == self._told or (not begins and 0 <= now - self._told_at < WRITE_AGAIN):
                return found
        self._told, self._told_at = self._most, now
        return [*found, self._most]
