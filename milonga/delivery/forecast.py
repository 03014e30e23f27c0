"""When what waits for a destination will be gone, if the last minutes go on. From counts that there are; pure."""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

LATELY: Final = 5  #: whole minutes looked back upon, beside the one that has begun
MOMENT: Final = 10.0  #: seconds: what is gone so soon at the rate of the last minutes is on its way, not a backlog

Way: TypeAlias = Literal["nothing", "drains", "grows", "unknown", "paused", "off", "down", "no_server"]


class Lately(Struct, frozen=True):
    """
    What the last minutes counted.

    seconds    how long they were
    arrived    events of its source that were accepted
    ended      events that came to their end, in whatever way
    delivered  those of them that were delivered
    """

    seconds: float
    arrived: int
    ended: int
    delivered: int


class Forecast(Struct, frozen=True):
    """
    way      nothing: nothing waits. drains: in `seconds`. grows: as much arrives as ends, or more. unknown: nothing
             has ended lately. paused, off, down (the breaker is not closed), no_server: it waits for that
    seconds  None unless it drains
    """

    way: Way
    seconds: float | None = None

    @property
    def words(self) -> str:
        if self.seconds is not None:
            return about(self.seconds)
        return _WORDS[self.way]


_WORDS: Final[dict[Way, str]] = {
    "nothing": "nothing waits",
    "drains": "",
    "grows": "not shrinking: as much arrives as leaves",
    "unknown": "unknown: nothing has come to its end lately",
    "paused": "waits: paused",
    "off": "waits for nothing: off",
    "down": "waits: the destination does not answer as it should",
    "no_server": "waits: no server is running",
}


def forecast(
    waiting: int, lately: Lately, *, state: str, breaker: str, rate_limit: float, server_runs: bool = True
) -> Forecast:
    """
    state       of the destination: "on", "off", "paused"
    breaker     "closed", "open", "half_open"
    rate_limit  requests a second; 0: none. What was delivered faster under an earlier one counts no more than this
    """
    if waiting <= 0:
        return Forecast("nothing")
    if not server_runs:
        return Forecast("no_server")
    if state == "paused":
        return Forecast("paused")
    if state == "off":
        return Forecast("off")
    if breaker != "closed":
        return Forecast("down")
    delivered = lately.delivered / lately.seconds
    if rate_limit:
        delivered = min(delivered, rate_limit)
    out = delivered + max(0, lately.ended - lately.delivered) / lately.seconds
    if out <= 0.0:
        return Forecast("unknown")
    if waiting <= out * MOMENT:
        return Forecast("drains", waiting / out)
    less = out - lately.arrived / lately.seconds
    return Forecast("drains", waiting / less) if less > 0.01 * out else Forecast("grows")


def about(seconds: float) -> str:
    """`about 12 minutes`: as exact as a forecast may sound."""
    if seconds < 1.5:
        return "about a second"
    for size, name in ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"), (1.0, "second")):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:,.0f} {name}s"
    raise AssertionError(seconds)
