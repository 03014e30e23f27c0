"""What became of an event at a destination: one compact row per event and destination."""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from milonga.eventlog.api import Position
from milonga.spec.text import beginning

MAX_ANSWER: Final = 1_000  #: bytes of what a receiver said


class State(IntEnum):
    """
    How things stand for one event at one destination. The numbers are stored: never renumber.

    The first four are final. `waiting` and `retrying` are never rows of the outcome files: they follow from the
    reader's position, its parked lines and its progress rows.
    """

    delivered = 1
    skipped = 2
    dead = 3
    expired = 4
    waiting = 5
    retrying = 6


class Outcome(Struct, frozen=True, kw_only=True):
    """
    destination       id of the destination in the workspace
    position          of the event in the log
    state             one of the four final ones
    code              why: a skip's, a dead letter's or an expiry's code; "" if delivered
    attempts          answers that counted; 0 for a skip
    perhaps           how many further attempts were cut off after the request had been written, so that the
                      destination may have it more than once
    received_at       when the event arrived here, unix milliseconds
    ended_at          when this was decided, unix milliseconds
    settings_version  of the settings in force then
    replay            number of the replay that sent it once more; 0: none did
    """

    destination: int
    position: Position
    state: State
    code: str = ""
    attempts: int = 0
    perhaps: int = 0
    received_at: int
    ended_at: int
    settings_version: int
    replay: int = 0


class Attempt(Struct, frozen=True, kw_only=True):
    """
    One answer, or the lack of one, for an event that failed at least once.

    destination, position  see Outcome
    at       unix milliseconds when it came back
    part     of the event's requests
    code     of the ending; "" for a success that followed failures
    reason   in words
    status   of HTTP; None without an answer
    ms       how long it took
    perhaps  True if the receiver may have it although no answer came
    answer   the first MAX_ANSWER bytes of the body
    batch    how many events the request carried, this one included
    """

    destination: int
    position: Position
    at: int
    part: str
    code: str
    reason: str
    status: int | None
    ms: int
    perhaps: bool
    answer: bytes
    batch: int = 1

    @property
    def said(self) -> str:
        """The answer as text, … where it goes on."""
        return beginning(self.answer, len(self.answer) >= MAX_ANSWER)
