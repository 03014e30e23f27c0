"""What the audit log says was changed, made ready to be read. Pure."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

Sign: TypeAlias = Literal["+", "-", " "]
MASKED = "***"
EMPTY = "empty"


class Line(Struct, frozen=True):
    """sign  `+` came, `-` went, ` ` stayed"""

    sign: Sign
    text: str


class Difference(Struct, frozen=True, kw_only=True):
    """
    Of one field: either from one value to another, or line by line.

    field          what it is called
    name           as it is stored
    before, after  "" where there was, or is, nothing
    time           they are moments, as milonga.outcomes.words.instant has them
    says           in place of both, as for a secret that was replaced
    lines          of lists and of what has parts; then the others are ""
    """

    field: str
    name: str = ""
    before: str = ""
    after: str = ""
    says: str = ""
    lines: tuple[Line, ...] = ()
    time: bool = False


def difference(field: str, before: object, after: object, name: str = "") -> Difference:
    if before == after == MASKED:
        return Difference(field=field, name=name, says="replaced by another")
    if _has_parts(before) or _has_parts(after):
        was, now = _lines(before), _lines(after)
        if len(was) + len(now) > 1:
            return Difference(field=field, name=name, lines=tuple(_changed(was, now)))
        return Difference(field=field, name=name, before=_first(was) if was else "", after=_first(now))
    return Difference(field=field, name=name, before="" if before == "" else _text(before), after=_text(after))


def _has_parts(value: object) -> bool:
    return isinstance(value, list | dict)


def _lines(value: object) -> list[str]:
    """One for each member of a list of words; else of JSON for people."""
    if value is None:
        return []
    if isinstance(value, list) and not any(_has_parts(one) for one in value):
        return [_text(one) for one in value]
    if not _has_parts(value):
        return _text(value).splitlines()
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode().splitlines() if value else []


def _first(lines: Sequence[str]) -> str:
    return lines[0] if lines else EMPTY


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value or EMPTY
    return msgspec.json.encode(value).decode()


def _changed(was: Sequence[str], now: Sequence[str]) -> Iterator[Line]:
    """With a line around each change."""
    for line in list(difflib.unified_diff(was, now, lineterm="", n=1))[3:]:
        match line[:1]:
            case "+":
                yield Line("+", line[1:])
            case "-":
                yield Line("-", line[1:])
            case " ":
                yield Line(" ", line[1:])
            case _:  # where it is
                yield Line(" ", "…")
