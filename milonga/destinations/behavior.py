"""What a pretend receiver is told to do instead of answering as usual. Pure: no clock, no socket."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

MAX_BEHAVIORS: Final = 100  #: at a time; the oldest is given up
MAX_TURNS: Final = 100_000  #: distinct requests whose place in a list of statuses is remembered

Status = Annotated[int, Meta(ge=100, le=599)]


class Behavior(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    status    of the answer; of a list, each distinct request gets the next one at each of its attempts. Once a 2xx
              or the end of the list has been reached, the request's turn is over: an equal one begins anew
    headers   of the answer, beside the usual ones
    delay_ms  wait before the answer (or before the connection is dropped)
    drop      close the connection without an answer: "before" the request is taken notice of, or "after"
    times     how many requests this holds for; None: until it is cleared
    match     holds only for requests with these parameters; none: for all
    """

    status: Status | Annotated[list[Status], Meta(min_length=1)] = 200
    headers: dict[str, str | int] = {}
    delay_ms: Annotated[float, Meta(ge=0, le=600_000)] = 0
    drop: Literal["before", "after"] | None = None
    times: Annotated[int, Meta(ge=1)] | None = None
    match: dict[str, Any] = {}

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if not name or any(sign in f"{name}{value}" for sign in "\r\n\0"):
                raise ValueError(f"The header {name!r} cannot be sent")


class Told(Struct, frozen=True):
    """
    What to do with one request.

    status    of the answer, if there is one
    headers   beside the usual ones
    delay     seconds
    drop      see Behavior
    """

    status: int = 200
    headers: Mapping[str, str | int] = {}
    delay: float = 0.0
    drop: Literal["before", "after"] | None = None


USUAL: Final = Told()


class Behaviors:
    """Those in force, the newest first: the first that matches a request decides, all others are not asked."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def add(self, behavior: Behavior) -> None:
        self._active.insert(0, _Active(behavior))
        del self._active[MAX_BEHAVIORS:]

    def clear(self) -> None:
        self._active.clear()

    def active(self) -> list[Behavior]:
        """With `times` as many as are left."""
        return [msgspec.structs.replace(active.behavior, times=active.left) for active in self._active]

    def decide(self, params: Mapping[str, Any]) -> Told:
        for active in self._active:
            if active.matches(params):
                told = active.take(params)
                if active.left == 0:
                    self._active.remove(active)
                return told
        return USUAL


class _Active:
    """A behaviour and how much of it has been used up."""

    def __init__(self, behavior: Behavior) -> None:
        self.behavior = behavior
        self.left = behavior.times
        self._turns: dict[bytes, int] = {}

    def matches(self, params: Mapping[str, Any]) -> bool:
        return all(name in params and params[name] == value for name, value in self.behavior.match.items())

    def take(self, params: Mapping[str, Any]) -> Told:
        if self.left is not None:
            self.left -= 1
        behavior = self.behavior
        status = behavior.status if isinstance(behavior.status, int) else self._next(behavior.status, params)
        return Told(status, behavior.headers, behavior.delay_ms / 1000, behavior.drop)

    def _next(self, statuses: list[int], params: Mapping[str, Any]) -> int:
        request = blake2b(msgspec.json.encode(params, order="sorted"), digest_size=16).digest()
        turn = self._turns.pop(request, 0)
        if turn >= len(statuses):
            return 200
        if not 200 <= statuses[turn] < 300:
            self._turns[request] = turn + 1
            if len(self._turns) > MAX_TURNS:
                del self._turns[next(iter(self._turns))]
        return statuses[turn]
