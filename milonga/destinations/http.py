"""HTTP's own rules, shared by every destination: how an answer is judged, and which addresses can be sent to."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from milonga.destinations.contract import Answer, BadEvent, BadSettings, Delivered, Ending, TryAgain

MASK: Final = "***"  #: stands for what is not shown
MAX_WAIT: Final = 3600.0  #: seconds; a receiver cannot make us wait longer than this between two attempts

_SECONDS: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")


def judge(answer: Answer, now: float, *, receiver: str, delivered: frozenset[int]) -> Ending:
    """
    How a request ended, by its status alone.

    now        unix seconds
    receiver   its name, for the reason
    delivered  statuses that mean "kept"; any other 2xx is tried again

    408, 429, 5xx and every unheard-of status are the moment's fault; 401 and 403 the settings' (whether they are
    that or one event's is decided by delivery, which sees several answers); all other 3xx and 4xx the event's:
    redirects are not followed, and the same request would be refused again.
    """
    status = answer.status
    if status in delivered:
        return Delivered()
    code, said = f"http_{status}", f"{receiver} answered {status}{_phrase(status)}."
    if status in (401, 403):
        return BadSettings(code, f"{said} Check the settings that identify you there, such as an id or a token.")
    if 300 <= status < 400:
        return BadEvent(code, f"{said} Redirects are not followed: set the address it points to, then resend.")
    if 400 <= status < 500 and status not in (408, 429):
        return BadEvent(code, f"{said} It would refuse the same request again.")
    return TryAgain(code, said, retry_after(answer.headers.get("retry-after"), now))


def retry_after(value: str | None, now: float) -> float | None:
    """
    Seconds to wait, at most MAX_WAIT; None if the header is absent, unreadable, or names no moment in the future.
    Source: RFC 9110, 10.2.3, "Retry-After": a number of seconds or an HTTP date.
    """
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_WAIT) or None
    try:
        date = parsedate_to_datetime(value)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(seconds, MAX_WAIT) if seconds > 0 else None


def address_problem(url: str) -> str | None:
    """What is wrong with an address to send to, in words; None if nothing is. An empty one is fine: it is not set."""
    if not url:
        return None
    if _UNPRINTABLE.search(url):
        return "The address holds a space or a control character"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"The address cannot be read: {error}"
    if parts.scheme not in ("http", "https"):
        return "The address must begin with https:// (or http://)"
    if not host:
        return "The address has no host"
    if parts.username is not None or parts.password is not None:
        return "The address must not hold a user name or password: it is shown on screens and in logs"
    return None


def is_masked(url: str) -> bool:
    """Whether it is an address as it is shown, which lacks its query: nothing can be sent to it."""
    return url.endswith(f"?{MASK}")


def shown_address(url: str) -> str:
    """
    For screens, logs and JSON: without its query and user name, where many a receiver expects a secret. What cannot be
    read as an address is not shown at all.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    host = parts.netloc.rpartition("@")
    user = f"{MASK}@" if host[1] else ""
    hidden = f"?{MASK}" if parts.query or "?" in url else ""
    return f"{parts.scheme}://{user}{host[2]}{parts.path}{hidden}" if parts.scheme else url.partition("?")[0] + hidden


def secrets_in(url: str) -> list[str]:
    """What `shown_address` hides: user name, password, and the values of the query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    values = [value for _, value in parse_qsl(parts.query)] or [parts.query]
    return [value for value in (parts.username, parts.password, *values) if value]


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""
