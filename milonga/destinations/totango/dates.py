"""Dates as Totango reads them: `yyyy-mm-ddThh:mm:ss.sssZ`. See docs/totango.md, "Dates"."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Final

_HOUR, _SIXTY = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
_ISO: Final = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    rf"(?:[T ]{_HOUR}:{_SIXTY}(?::{_SIXTY}(?:\.[0-9]+)?)?(?:Z|[+-]{_HOUR}(?::?{_SIXTY})?)?)?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MILLISECOND: Final = 31_557_600_000
"""A number from here on counts milliseconds, one below it seconds. Source: segmentio-facade 3.2.7, `isMilliseconds`."""


def iso_date(text: str) -> str | None:
    """
    The same moment in UTC, if the text is an ISO date; None if it is not, or names a day or time that does not exist.
    No offset means UTC. Digits beyond milliseconds are dropped.
    """
    if len(text) < 10 or text[4] != "-" or text[7] != "-" or _ISO.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return _written(moment - offset if (offset := moment.utcoffset()) else moment)
    except (ValueError, OverflowError):
        return None


def creation_date(value: Any) -> str | None:
    """
    Like `iso_date`, and also seconds or milliseconds since 1970, as a number or as text of exactly 10 or 13 digits.
    None if the value cannot be read as a date.
    """
    if isinstance(value, str):
        if value.isascii() and value.isdigit():
            match len(value):
                case 10:
                    return _from_milliseconds(int(value) * 1000)
                case 13:
                    return _from_milliseconds(int(value))
        return iso_date(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        if not isfinite(value):
            return None
        exact = Decimal(repr(value))  # as it was written: 1398938400.123 has 123 milliseconds, not 122.99
        return _from_milliseconds(int(exact * 1000 if exact < _FIRST_MILLISECOND else exact))
    return _from_milliseconds(value * 1000 if value < _FIRST_MILLISECOND else value)


def _from_milliseconds(milliseconds: int) -> str | None:
    try:
        return _written(_EPOCH + timedelta(milliseconds=milliseconds))
    except OverflowError:
        return None


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"
