"""
The tolerant reader: JSON as real clients sometimes write it. It cuts a body into documents and a batch into events by
its brackets alone, so that what is broken inside one of them spoils no other, and writes each anew as JSON.

What it mends: NaN and infinities (null), numbers out of range (null), surrogates without their other half and bytes
that are not UTF-8 (U+FFFD), control characters and unknown escapes inside text (escaped), byte-order marks, NULs and
other control characters between values (white space).
"""

import json
import math
import re
from typing import Any, Final

from msgspec import Struct

from milonga.spec.depth import too_deep
from milonga.spec.limits import MAX_EVENT

_TEXT: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
"""
Also text that never ends: it reaches to the end of all, where nothing can follow. If each of its quotes were tried as a
beginning, the time would grow with the square of its length.
"""

_NOTHING: Final = "\ufeff\x00-\x20"  # white space, and what counts as such between values
_CUTS: Final = re.compile(_TEXT + r"|[\[{]+|[\]}]+|,+", re.DOTALL)
_LONGEST_KEY: Final = 64  # characters as written: none of ours has as many
_OPENING: Final = re.compile(r"[\[{]")
_EMPTY: Final = re.compile(f"[{_NOTHING},]*+")
_KEY: Final = re.compile(f"[{_NOTHING}]*+({_TEXT})[{_NOTHING}]*+:[{_NOTHING}]*+", re.DOTALL)
_FAULTS: Final = re.compile(_TEXT + r"|-?\b(?:NaN|Infinity)\b|[\x00-\x08\x0b\x0c\x0e-\x1f\ufeff]+", re.DOTALL)
_SUSPECT: Final = re.compile(r"[\x00-\x1f\\]")
_INSIDE: Final = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r'|(?P<good>\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))'
    r"|(?P<bad>\\)"
    r"|(?P<control>[\x00-\x1f])"
)


class Cut(Struct, frozen=True):
    """
    An object or list, cut at the commas of its first level.

    start, end  of the whole, brackets included
    whole       False if the text ended before its closing bracket
    parts       (index, start, end) of what stands between the commas; holes have an index but are left out
    more        how many further parts there are beyond those asked for
    """

    start: int
    end: int
    whole: bool
    parts: list[tuple[int, int, int]]
    more: int


def text_of(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def next_document(text: str, at: int) -> int | None:
    """Where the next object or list opens; None if there is none."""
    found = _OPENING.search(text, at)
    return None if found is None else found.start()


def cut(text: str, start: int, most: int) -> Cut:
    """Cut the object or list that opens at `start` into at most `most` parts; the rest is only counted."""
    depth, index, begun, more = 0, 0, start + 1, 0
    parts: list[tuple[int, int, int]] = []

    def end_part(at: int) -> None:
        nonlocal index, begun, more
        if not is_nothing(text, begun, at):
            if len(parts) < most:
                parts.append((index, begun, at))
            else:
                more += 1
        index, begun = index + 1, at + 1

    for match in _CUTS.finditer(text, start):
        at, run = match.start(), match.end() - match.start()
        mark = text[at]
        if mark == ",":
            if depth == 1:
                end_part(at)
                index, begun = index + run - 1, match.end()  # holes
        elif mark in "[{":
            depth += run
        elif mark in "]}":
            if run >= depth:
                end_part(at + depth - 1)
                return Cut(start, at + depth, True, parts, more)
            depth -= run
    end_part(len(text))
    return Cut(start, len(text), False, parts, more)


def member(text: str, start: int, end: int) -> tuple[str, int] | None:
    """
    The key of a part of an object, and where its value starts; None if it has no key. A key that is longer than any
    of ours is cut off.
    """
    found = _KEY.match(text, start, end)
    if found is None:
        return None
    written = found[1]
    key = json.loads(mended(written)) if len(written) <= _LONGEST_KEY else written[:_LONGEST_KEY]
    return key, found.end()


def is_nothing(text: str, start: int, end: int) -> bool:
    """Whether there is no value here: white space, what counts as such, and commas."""
    found = _EMPTY.match(text, start, end)
    return found is not None and found.end() == end


def mended(text: str) -> str:
    """The same text as JSON wherever its faults are among those named above; else still none."""
    return _FAULTS.sub(_without_fault, text)


def loads(body: bytes) -> Any:
    """One JSON value, mended. ValueError if it cannot be read even so, or is nested too deep."""
    if too_deep(body):
        raise ValueError("Nested too deep")
    return json.loads(
        mended(text_of(body)), parse_constant=lambda _: None, parse_float=_finite, parse_int=_integer, strict=False
    )


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # more than the 4,300 digits that Python is willing to read
        return None


def _without_fault(match: re.Match[str]) -> str:
    found = match.group()
    if found[0] == '"':
        # What is longer than an event may be is refused anyway, and would take 50 times its size in memory.
        suspect = len(found) <= MAX_EVENT and _SUSPECT.search(found)
        return _INSIDE.sub(_without_fault_inside, found) if suspect else found
    return "null" if found[-1] in "Ny" else " "


def _without_fault_inside(match: re.Match[str]) -> str:
    found = match.group()
    match match.lastgroup:
        case "half":
            return "\\ufffd"
        case "bad":
            return "\\\\"
        case "control":
            return f"\\u{ord(found):04x}"
        case _:
            return found
