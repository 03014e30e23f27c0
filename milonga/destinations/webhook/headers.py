"""Headers of the user's own: which there may be, and how those that are secret are written in one setting."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

MOST: Final = 20  #: headers, the secret ones included
LONGEST_NAME: Final = 100  #: characters
LONGEST_VALUE: Final = 2_000  #: characters

AUTHORIZATION: Final = "Authorization"
_OURS: Final = frozenset({"accept", "accept-encoding", "content-encoding", "content-type", "user-agent"})
_OF_HTTP: Final = frozenset(
    {
        *("connection", "content-length", "date", "expect", "host", "http2-settings", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "via"),
    }
)
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2, "Tokens"
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def read_headers(text: str) -> dict[str, str]:
    """From a JSON object; none from "". ValueError, which repeats nothing of it, if it is no object of texts."""
    try:
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise ValueError('Write a JSON object of texts, such as {"X-Api-Key": "..."}') from None


@lru_cache(maxsize=64)
def secret_headers(text: str) -> Mapping[str, str]:
    """The same; what cannot be read, such as the *** that stands for it in an explanation, is one header's value."""
    try:
        return read_headers(text)
    except ValueError:
        return {"secretHeaders": text}


def problem_of(headers: Mapping[str, str], *, secret: bool) -> str | None:
    """
    What is wrong with them, in words; None if nothing is.

    secret  nothing of them is repeated
    """
    for number, (name, value) in enumerate(headers.items(), 1):
        called = f"header {number}" if secret else repr(name[:LONGEST_NAME])
        if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
            return f"The name of {called} has a character that no header name may have, or more than {LONGEST_NAME}"
        if reason := _taken(name.lower()):
            return f"{called} cannot be set: {reason}"
        if not value:
            return f"{called} is empty"
        if len(value) > LONGEST_VALUE or not _VALUE.fullmatch(value):
            return (
                f"The value of {called} must be at most {LONGEST_VALUE:,} printable ASCII characters, without spaces "
                "at its ends"
            )
    return None


def problem_of_all(*groups: Mapping[str, str]) -> str | None:
    """What is wrong with all of them together."""
    names = [name.lower() for group in groups for name in group]
    if len(names) > MOST:
        return f"There may be {MOST} headers at most"
    return "The same header is set twice" if len(set(names)) < len(names) else None


def _taken(name: str) -> str:
    if name == AUTHORIZATION.lower():
        return "it has a setting of its own, authorization"
    if name.startswith("webhook-"):
        return "it belongs to the signature"
    if name in _OURS:
        return "Milonga writes it itself"
    if name in _OF_HTTP or name.startswith("proxy-"):
        return "HTTP uses it to steer the connection"
    return ""
