"""Message ids: what makes two copies of an event one."""

import hashlib
import os
from collections.abc import Callable
from typing import Final

from milonga.spec.limits import MAX_MESSAGE_ID

_DIGEST: Final = 64  # hexadecimal digits of SHA-256
_KEPT: Final = MAX_MESSAGE_ID - _DIGEST - 1


def message_id(sent: str | None, new_id: Callable[[], str]) -> tuple[str, bool]:
    """
    (the id to keep, whether it is the sender's own). An id that is not can never make an event a duplicate.

    An over-long id is shortened: its beginning, to be found by eye, and the SHA-256 of all of it, so that its copies
    still match and no others do. Segment documents the limit, not what happens beyond it.
    """
    if sent is None:
        return new_id(), False
    if len(sent) <= MAX_MESSAGE_ID:
        return sent, True
    return f"{sent[:_KEPT]}~{hashlib.sha256(sent.encode()).hexdigest()}", True


def new_message_id() -> str:
    """For an event that came without: 128 random bits."""
    return f"milonga-{os.urandom(16).hex()}"
