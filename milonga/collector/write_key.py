"""The write key a request carries in its header."""

import binascii
from functools import lru_cache
from typing import Final

_LONGEST_KNOWN: Final = 512  # bytes; longer headers are not remembered, so that the memory of them stays small


def key_in_header(authorization: bytes | None) -> str | None:
    """
    The user name of Basic authorization, also without the colon behind it; None without one. Bearer tokens are
    OAuth's: those requests carry the key in the body. Source: Segment's HTTP API, "Authentication".
    """
    if authorization is None:
        return None
    return _remembered(authorization) if len(authorization) <= _LONGEST_KNOWN else _user_name(authorization)


def _user_name(authorization: bytes) -> str | None:
    scheme, _, credentials = authorization.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name = binascii.a2b_base64(credentials.strip() + b"==").partition(b":")[0]
    except binascii.Error:
        return None
    return name.decode("utf-8", "replace").strip() or None


_remembered: Final = lru_cache(maxsize=256)(_user_name)  # a sender's header is the same with every request
