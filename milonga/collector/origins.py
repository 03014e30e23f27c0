"""
Which pages may send, and read what is answered (CORS). Source: the Fetch standard, "HTTP extensions"; what Segment's
browser library needs of it: docs/tracking-api.md, "Browsers".
"""

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

from milonga.collector.answers import Answer, bare_answer

MAX_AGE: Final = 7200
"""Seconds for which a browser remembers a preflight: the most that Chromium does. A refused one it never remembers."""

HEADERS: Final = ("Authorization", "Content-Type", "X-Retry-Count")
"""What the browser library sends. They are named, for `*` does not stand for Authorization."""

_EXPOSED: Final = b"Retry-After, X-RateLimit-Reset"
_LONGEST: Final = 300  # bytes: a scheme, a host name of 253, a port
_ORIGIN: Final = re.compile(rb"null|[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._~:\[\]%-]+")
_MOST_ASKED: Final = 1024  # bytes of header names that a preflight may ask for beyond ours
_NAMES: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]*")
_PARTS: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[^\]]*\]|[^:/]+)(?::(?P<port>[0-9]+))?")
_PORTS: Final = {"http": "80", "https": "443"}


class Shared(Struct, frozen=True):
    """
    Headers that let a page of another site read an answer.

    lines  the same, as HTTP/1.1 writes them
    """

    headers: list[tuple[bytes, bytes]]
    lines: bytes


def shared_with(origin: bytes) -> Shared | None:
    """For an answer to a page of this origin; None if the header is no origin at all."""
    return _shared_with(origin) if len(origin) <= _LONGEST else None


@lru_cache(maxsize=1024)
def _shared_with(origin: bytes) -> Shared | None:
    if _ORIGIN.fullmatch(origin) is None:
        return None
    headers = [
        # Echoed, not `*`: a page may be set to send credentials, and is then not content with less.
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]
    return Shared(headers, b"".join(b"%b: %b\r\n" % line for line in headers))


def preflight(asked: bytes) -> Answer:
    """
    The answer to OPTIONS, but for what `shared_with` adds.

    asked  value of Access-Control-Request-Headers. Site owners can have the library send any (`deliveryStrategy`)
    """
    return _preflight(asked if len(asked) <= _MOST_ASKED and _NAMES.fullmatch(asked) else b"")


@lru_cache(maxsize=64)
def _preflight(asked: bytes) -> Answer:
    ours = {name.lower() for name in HEADERS}
    more = [name for part in asked.decode().split(",") if (name := part.strip()) and name.lower() not in ours]
    return bare_answer(
        204,
        (b"allow", b"POST, OPTIONS"),
        (b"access-control-allow-methods", b"POST"),
        (b"access-control-allow-headers", ", ".join([*HEADERS, *more]).encode()),
        (b"access-control-max-age", str(MAX_AGE).encode()),
    )


def allows(origins: tuple[str, ...], origin: str) -> bool:
    """
    Whether a source with these allowed origins takes what a page of this one sends. No origins allow any.

    `https://www.example.com` allows that site; `https://*.example.com` all sites below example.com, not itself.
    Without a port it is the scheme's own.
    """
    return not origins or (len(origin) <= _LONGEST and _allows(origins, origin))


@lru_cache(maxsize=1024)
def _allows(origins: tuple[str, ...], origin: str) -> bool:
    return any(_fits(allowed, origin.lower()) for allowed in origins)


def _fits(allowed: str, origin: str) -> bool:
    if allowed == origin:
        return True
    wanted, found = _PARTS.fullmatch(allowed), _PARTS.fullmatch(origin)
    if wanted is None or found is None or wanted["scheme"] != found["scheme"]:
        return False
    own = _PORTS.get(found["scheme"])
    if (wanted["port"] or own) != (found["port"] or own):
        return False
    host = wanted["host"]
    return found["host"].endswith(host[1:]) if host.startswith("*.") else found["host"] == host
