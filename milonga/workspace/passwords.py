"""
Passwords as argon2id: costly on purpose, so few at a time, whoever asks. Both calls take tenths of a second and
let other threads work meanwhile: from an event loop, call them in a thread.
"""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from milonga.workspace.errors import UserError
from milonga.workspace.people import LONGEST_PASSWORD, normal

HASHER: Final = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
"""
32 MiB each. Above what OWASP's Password Storage Cheat Sheet asks of argon2id (19 MiB, two passes), and one thread, so
that logging in takes no core from the collector.
"""
AT_ONCE: Final = 2  #: so that a flood of log-ins takes 64 MiB at most
WAITING: Final = 8  #: that stand in line for them; more are refused


class Busy(UserError):
    """Too many people log in at this moment. Try again in a few seconds."""


class _Gate:
    """
    AT_ONCE at work, WAITING in line.

    at_once, in_line  how many
    """

    def __init__(self, at_once: int, in_line: int) -> None:
        self._slots = threading.BoundedSemaphore(at_once)
        self._room = threading.BoundedSemaphore(at_once + in_line)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            raise Busy(Busy.__doc__)
        try:
            with self._slots:
                yield
        finally:
            self._room.release()


GATE: Final = _Gate(AT_ONCE, WAITING)


def hashed(password: str) -> str:
    """In PHC form. Busy."""
    with GATE():
        return HASHER.hash(normal(password))


def is_right(stored: str | None, password: str) -> bool:
    """
    Takes the same time whether there is a password to compare with or not. Busy.

    stored  None: of a user who is not there, or has none yet; never right
    """
    too_long = len(password) > LONGEST_PASSWORD
    with GATE():
        try:
            HASHER.verify(stored or _nobody(), "" if too_long else normal(password))
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
    return stored is not None and not too_long


def is_weak(stored: str) -> bool:
    """Whether it was hashed with less than is asked now: hash it again while the password is at hand."""
    return HASHER.check_needs_rehash(stored)


@functools.cache
def _nobody() -> str:
    """Nobody's password is empty."""
    return HASHER.hash("")
