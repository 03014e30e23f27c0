"""When an event happened by our clock, whatever the sender's says. All times are unix milliseconds in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DAY: Final = 24 * 60 * 60 * 1000
_FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


def parse_time(text: str | None) -> int | None:
    """
    ISO 8601 as Segment's SDKs write it: any number of fraction digits (those beyond milliseconds are dropped), any
    offset; without offset it is UTC. None if absent, unreadable, or by its offset outside the years 1 to 9999 of UTC.
    """
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        since = (time if time.tzinfo is not None else time.replace(tzinfo=UTC)) - _EPOCH
        found = since.days * _DAY + since.seconds * 1000 + since.microseconds // 1000
    except (ValueError, OverflowError):
        return None
    return found if _FIRST <= found <= _LAST else None


def happened_at(original: int | None, sent: int | None, received: int) -> int:
    """
    received - (sent - original): what the sender's clock is ahead or behind is taken off.

    Source: Segment spec, Common fields, "Timestamps". Without `sent` the original as it is; without original, or with
    a result outside the years 1 to 9999, the time it was received. A lying clock may put it into the future.
    """
    if original is None:
        return received
    if sent is None:
        return original
    time = received - (sent - original)
    return time if _FIRST <= time <= _LAST else received
