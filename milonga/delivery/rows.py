"""What delivery remembers of single events, as rows of `<data>/delivery.db`. Plain data."""

import json
from typing import Final

import msgspec
from msgspec import Struct

from milonga.destinations.contract import Key
from milonga.eventlog.api import Offset, Position
from milonga.spec.stored import Stamp, Stamped

NEVER: Final = 2**62  #: a line with this due time is looked after in memory
ASIDE: Final = NEVER - 1  #: and one with this waits until its account has room in memory


class Progress(Struct, frozen=True, kw_only=True):
    """
    An event that is not finished although it was tried.

    attempts    answers that counted
    perhaps     attempts after which the receiver may have it although no answer came
    next_at     unix milliseconds: not before, as our own backoff says
    not_before  unix milliseconds: not before, as the receiver asked (Retry-After); 0 if it did not
    code, reason  of the last failure
    parts       names of its requests that were delivered
    failing_since  unix milliseconds of its first failure that is not a refusal; 0: none
    """

    attempts: int = 0
    perhaps: int = 0
    next_at: int = 0
    not_before: int = 0
    code: str = ""
    reason: str = ""
    parts: frozenset[str] = frozenset()
    failing_since: int = 0

    @property
    def due_at(self) -> int:
        """When it is tried next, unix milliseconds."""
        return max(self.next_at, self.not_before)


class Parked(Struct, frozen=True, kw_only=True):
    """
    resent  True for a dead letter that was sent again: it joined at the end of its lines
    event   its bytes, which a resent one brings along; None: they are in the log
    """

    position: Position
    parked_at: int
    received_at: int
    keys: tuple[Key, ...]
    resent: bool
    event: Stamped | None


class InForce(Struct, frozen=True):
    """
    What the delivery to a destination goes by. All times in unix milliseconds.

    settings_version  of the settings that whatever leaves from then on is translated and sent with
    state_at          when the state that holds was set
    at                since when the two are in force
    """

    settings_version: int
    state_at: int
    at: int


class Health(Struct, frozen=True, kw_only=True):
    """
    How a destination fares, for everybody who looks from outside. All times in unix milliseconds.

    at                   when this was written; it is not written again while nothing changes
    breaker              "closed", "open" or "half_open" (milonga.delivery.breaker)
    breaker_until        when an open one lets the next request out; None unless open
    last_delivered_at    of a request, as all below; None: never
    last_failure_at      any answer, or lack of one, but a delivery
    last_failure_code, last_failure_reason  "" if there was none
    waiting              events without an end: in memory, parked, and not yet read (among the last those of other
                         sources count too)
    oldest_waiting_at    when the oldest of those in memory or parked was received; None if there is none
    """

    at: int
    breaker: str = "closed"
    breaker_until: int | None = None
    last_delivered_at: int | None = None
    last_failure_at: int | None = None
    last_failure_code: str = ""
    last_failure_reason: str = ""
    waiting: int = 0
    oldest_waiting_at: int | None = None


class DetourRow(Struct, frozen=True, kw_only=True):
    """
    A stretch of the log that the events of some accounts wait in, for a reader of their own (milonga.delivery.detours).

    leader   the account that made it necessary
    after    everything of it up to here is finished or parked
    upto     its last offset; None while it goes on
    begins   account -> offset behind which its events belong to it
    unread   how many of them lie behind `after`, about
    counted  up to this offset
    """

    leader: str
    after: Offset
    upto: Offset | None
    begins: dict[str, Offset]
    unread: int
    counted: Offset

    def covers(self, account: str, offset: Offset) -> bool:
        """Whether this event still waits in it, or is in hand."""
        begin = max(self.begins.get(account, offset), self.after)
        return begin < offset and (self.upto is None or offset <= self.upto)


class DeadLetter(Struct, frozen=True, kw_only=True):
    """
    parts  names of its requests that had been delivered before; a resend leaves them out
    event  a copy: a dead letter outlives the log
    """

    destination: int
    position: Position
    died_at: int
    code: str
    reason: str
    parts: frozenset[str]
    event: Stamped


def key_text(key: Key) -> str:
    """A key as it stands in the file: `["acme","ada"]`."""
    try:
        return msgspec.json.encode(key).decode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can carry
        return json.dumps(key, separators=(",", ":"))


def key_of(text: str) -> Key:
    """The other way round."""
    return tuple(json.loads(text))


def keys_text(keys: tuple[Key, ...]) -> str:
    return f"[{','.join(map(key_text, keys))}]"


def keys_of(text: str) -> tuple[Key, ...]:
    return tuple(map(tuple, json.loads(text)))


def parts_text(parts: frozenset[str]) -> str:
    return json.dumps(sorted(parts))


def parts_of(text: str) -> frozenset[str]:
    return msgspec.json.decode(text, type=frozenset[str])


def stamp_bytes(event: Stamped) -> bytes:
    return msgspec.json.encode(event.stamp)


def event_of(stamp: bytes, body: bytes) -> Stamped:
    return Stamped(msgspec.json.decode(stamp, type=Stamp), body)
