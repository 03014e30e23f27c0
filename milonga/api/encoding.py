"""JSON of what may hold anything that an event once held. Pure."""

import json

import msgspec


def encoded(value: object) -> bytes:
    """Half a surrogate pair, or a number beyond every range, stands as JSON can have it."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, msgspec.MsgspecError, OverflowError):
        return json.dumps(msgspec.to_builtins(value)).encode()
