"""What can be sent at all: URL, method and headers may come from a user's settings. Pure."""

import re
from functools import lru_cache
from urllib.parse import urlsplit

from milonga.delivery.outgoing import NoAnswer, Outgoing

METHODS = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
#: they frame the message or steer the connection: ours to write, a second opinion could smuggle a request
OUR_HEADERS = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_NOT_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)


def flaw_of(outgoing: Outgoing) -> NoAnswer | None:
    """What makes this request impossible to send. Never quotes a path, query or header value: they may hold secrets."""
    reason = _url_flaw(outgoing.url) or _header_flaw(outgoing.headers)
    if reason is None and outgoing.method not in METHODS:
        reason = f"The method must be one of {', '.join(sorted(METHODS))}."
    return None if reason is None else NoAnswer("bad_url", reason, perhaps=False)


@lru_cache(maxsize=256)
def _url_flaw(url: str) -> str | None:
    if not _URL.fullmatch(url):
        return "The URL must begin with https:// (or http://) and hold no spaces or characters beyond ASCII."
    try:
        parts = urlsplit(url)
        if parts.hostname and (parts.port is None or parts.port > 0):
            return None
    except ValueError:
        pass
    return "The URL must name a host, and a port from 1 to 65535 if it names one."


@lru_cache(maxsize=256)
def _header_flaw(headers: tuple[tuple[str, str], ...]) -> str | None:
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            return f"The header name {name[:60]!r} has a character that no header name may have."
        if name.lower() in OUR_HEADERS:
            return f"The header {name} cannot be set: Milonga writes it itself."
        if _NOT_IN_VALUE.search(value):
            return f"The value of the header {name} has a line break or another control character."
    return None
