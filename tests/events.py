"""Stored events, as usual unless a test says otherwise."""

from typing import Any

from milonga.spec.stored import Stamp


def stamp_of(**more: Any) -> Stamp:
    """Of a track call from source 1."""
    usual: dict[str, Any] = {
        "source": 1,
        "type": "track",
        "message_id": "m",
        "own_message_id": True,
        "user_id": "u",
        "anonymous_id": None,
        "account": None,
        "account_found": None,
        "received_at": 0,
        "timestamp": 0,
    }
    return Stamp(**(usual | more))
