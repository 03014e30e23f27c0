"""What of a whole event can be put on a wire as JSON, for destinations that send it as it was received. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from milonga.spec.text import well_formed
from milonga.spec.values import number_text

MAX_DEPTH: Final = 100  #: of objects and lists in one another; few JSON readers take much more
_MAX_BITS: Final = 14_000  #: of a whole number; Python's own JSON readers and writers refuse more than 4,300 digits


class TooDeep(Exception):
    """More than MAX_DEPTH objects and lists in one another."""


def mended(value: Mapping[str, Any]) -> dict[str, Any]:
    """
    The object, mended where JSON in UTF-8 could not carry it: U+FFFD for lone surrogates, null for NaN and infinities,
    text for endless digits. TooDeep.
    """
    return {well_formed(key): _mended(item, MAX_DEPTH) for key, item in value.items()}


def _mended(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, Mapping):
        if not depth:
            raise TooDeep
        return {well_formed(key): _mended(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        if not depth:
            raise TooDeep
        return [_mended(item, depth - 1) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return number_text(value)
    return value


def moment(milliseconds: int) -> str | None:
    """Unix milliseconds as ISO 8601 in UTC, `2026-11-22T15:00:00.000Z`; None outside the years 1 to 9999."""
    try:
        time = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{time:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"
