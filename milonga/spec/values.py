"""Ids, names and numbers as text: what counts as usable, and how it is written."""

import math
from decimal import Decimal
from typing import Any


def number_text(value: float) -> str | None:
    """
    All digits, point notation, never an exponent: 329, 10 for 10.0, 42.99. None for NaN and infinities.
    Source: docs/totango.md, "Values".
    """
    if isinstance(value, int):
        try:
            return str(value)
        except ValueError:  # Python refuses to write more than 4,300 digits this way
            return format(Decimal(value), "f")
    if not math.isfinite(value):
        return None
    if value.is_integer():
        return format(Decimal(repr(value)), "f").removesuffix(".0") if value else "0"
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text


def id_text(value: Any) -> str | None:
    """
    Non-empty text as it is, a number written out; None for everything else, which counts as missing.
    White space is text; 0 is an id. Source: docs/totango.md, "Ids".
    """
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return number_text(value)


def name_text(value: Any) -> str | None:
    """The same rule for event, page and category names."""
    return id_text(value)
