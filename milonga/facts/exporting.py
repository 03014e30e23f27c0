"""
Dead letters as files to take away: JSON lines, or CSV for a spreadsheet. Made while it is read, a page at a time, so
that memory does not grow with how many there are.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from milonga.delivery.letter_list import ALL, LetterFilter, LetterMark, letters
from milonga.facts.dead import as_row
from milonga.facts.facts import Facts

Format: TypeAlias = Literal["jsonl", "csv"]
MEDIA_TYPES: Final[dict[Format, str]] = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}

AT_ONCE: Final = 200  #: letters
COLUMNS: Final = (
    *("destination", "diedAt", "code", "reason", "type", "name", "account", "user", "messageId", "receivedAt"),
    "event",
)
FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""
With what a cell begins, blanks aside, that a spreadsheet would take for a formula; the last four are the same, full
width. Source: OWASP, "CSV Injection".
"""


def export(
    facts: Facts, wanted: LetterFilter = ALL, destination: int | None = None, *, format_: Format = "jsonl"
) -> Iterator[bytes]:
    """Oldest death first; of removed destinations nothing. destination: its id; None: of all"""
    here = {place.config.id for place in facts.places if place.removed_at is None}
    if format_ == "csv":
        yield head(format_)
    mark: LetterMark | None = None
    while facts.delivery is not None:
        page = letters(facts.delivery, wanted, destination, beyond=mark, limit=AT_ONCE, newest_first=False)
        mine = [letter for letter in page.letters if letter.destination in here]
        if mine:
            yield b"".join(line(as_row(facts, letter), letter.event.body, format_) for letter in mine)
        if page.next is None:
            return
        mark = page.next


def head(format_: Format) -> bytes:
    """What comes before all lines."""
    return _csv(list(COLUMNS)) if format_ == "csv" else b""


def line(row: Mapping[str, Any], event: bytes, format_: Format) -> bytes:
    """
    row    as milonga.facts.dead has it
    event  as it arrived
    """
    if format_ == "jsonl":
        return msgspec.json.encode({**row, "event": _raw(event)}) + b"\n"
    cells = {**row, "event": event.decode(errors="replace")}
    return _csv([defused(cells[name]) for name in COLUMNS])


def _raw(body: bytes) -> msgspec.Raw | str:
    """As it arrived, on one line; text if it is no JSON."""
    try:
        return msgspec.Raw(msgspec.json.format(body, indent=-1))
    except msgspec.MsgspecError:
        return body.decode(errors="replace")


def defused(value: object) -> str:
    """As the text of a cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def _csv(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode(errors="replace")
