"""A clock for tests: time is theirs to move."""

from typing import Generic, TypeVar

Time = TypeVar("Time", bound=float)  #: unix milliseconds, or seconds


class Still(Generic[Time]):
    """Stands still until it is moved."""

    def __init__(self, at: Time) -> None:
        self.at = at

    def __call__(self) -> Time:
        return self.at
