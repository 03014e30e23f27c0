"""When to try again. Pure."""

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """
    Full jitter: a random part of a ceiling that doubles.

    first    seconds: the ceiling before the second try
    longest  seconds: the ceiling never grows beyond
    asked    seconds: the longest Retry-After we honour
    """

    first: float = 0.5
    longest: float = 300.0
    asked: float = 3600.0


def wait_before(attempt: int, *, dice: float, asked: float | None, backoff: Backoff) -> float:
    """
    Seconds to wait before the next try.

    attempt  how many tries have failed, 1 or more
    dice     0.0 to 1.0
    asked    seconds the receiver asked for; never less than that, so that a herd does not come back early
    """
    ceiling = min(backoff.longest, backoff.first * 2.0 ** min(attempt - 1, 30))
    if asked is None:
        return dice * ceiling
    return min(asked, backoff.asked) + dice * min(ceiling, 1.0)
