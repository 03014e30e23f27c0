"""
Dead letters, what was skipped, and what is parked, as files: JSON lines, or CSV for a spreadsheet. Made
while it is read, a page at a time, so that memory does not grow with how many there are.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from milonga.delivery.letter_list import ALL, LetterFilter, LetterMark, letters
from milonga.delivery.rows import key_text
from milonga.delivery.selection import Selection
from milonga.destinations.contract import Key
from milonga.facts.dead import as_row
from milonga.facts.facts import Facts, Place
from milonga.facts.parked import all_held, held_as_row
from milonga.facts.problems import Example, example_as_row
from milonga.facts.skipped import all_ended
from milonga.outcomes.model import State

Format: TypeAlias = Literal["jsonl", "csv"]
MEDIA_TYPES: Final[dict[Format, str]] = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}

AT_ONCE: Final = 200  #: letters
COLUMNS: Final = (
    *("destination", "diedAt", "code", "reason", "type", "name", "account", "user", "messageId", "receivedAt"),
    "event",
)
ENDED_COLUMNS: Final = (
    *("destination", "endedAt", "state", "code", "now", "type", "name", "account", "user", "messageId", "receivedAt"),
    "event",
)
PARKED_COLUMNS: Final = (
    *("destination", "key", "parkedAt", "attempts", "code", "reason", "nextTry", "type", "name", "account", "user"),
    *("messageId", "receivedAt", "event"),
)
PARTING: Final = frozenset(";\t\r\n")
GAP: Final = re.compile(r"([;\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff]+|^)([-=+@\uff0d\uff1d\uff0b\uff20]?)")
"""
What may lie before a cell, and with what one begins that a spreadsheet would take for a formula; the last four are the
same, full width. In half of Europe it parts cells at semicolons, and ours are none to it: then quotes in the middle of
what it has for a cell hold nothing together. Source: OWASP, "CSV Injection".
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


def export_ended(
    facts: Facts, place: Place, state: State, code: str, wanted: Selection, *, format_: Format = "jsonl"
) -> Iterator[bytes]:
    """
    Events that ended with one reason and fit (milonga.facts.skipped), newest end first. `now`: how they stand by now.
    """
    if format_ == "csv":
        yield head(format_, ENDED_COLUMNS)
    for some in all_ended(facts, place, state, code, wanted):
        if some:
            yield b"".join(_ended_line(place, one, format_) for one in some)


def _ended_line(place: Place, one: Example, format_: Format) -> bytes:
    outcome = one.outcome
    row: dict[str, Any] = {
        "destination": place.config.name,
        "state": outcome.state.name,
        "code": outcome.code,
        "now": (one.since or outcome).state.name,
    }
    row |= {name: value for name, value in example_as_row(one).items() if name != "since"}
    return line(row, None if one.stored is None else one.stored.event.body, format_, ENDED_COLUMNS)


def export_parked(
    facts: Facts, place: Place, *, account: str | None = None, key: Key | None = None, format_: Format = "jsonl"
) -> Iterator[bytes]:
    """Events behind parked keys (milonga.facts.parked): line after line, each in its order."""
    if format_ == "csv":
        yield head(format_, PARKED_COLUMNS)
    for some in all_held(facts, place, account=account, key=key):
        if some:
            yield b"".join(
                line(held_as_row(place, one), None if one.event is None else one.event.body, format_, PARKED_COLUMNS)
                for one in some
            )


def head(format_: Format, columns: Sequence[str] = COLUMNS) -> bytes:
    """What comes before all lines."""
    return _csv(list(columns)) if format_ == "csv" else b""


def line(row: Mapping[str, Any], event: bytes | None, format_: Format, columns: Sequence[str] = COLUMNS) -> bytes:
    """
    row    such as milonga.facts.dead has it, but for its event
    event  as it arrived; None if it has left the log
    """
    if format_ == "jsonl":
        return msgspec.json.encode({**row, "event": None if event is None else _raw(event)}) + b"\n"
    cells = {**row, "event": None if event is None else _in_cell(_raw(event))}
    return _csv([defused(_cell(cells[name])) for name in columns])


def _cell(value: object) -> object:
    """A key as it is typed."""
    return _in_cell(msgspec.Raw(key_text(tuple(value)).encode())) if isinstance(value, list) else value


def _in_cell(text: msgspec.Raw | str) -> str:
    """JSON that means the same, and in which nothing parts cells (GAP): an apostrophe would change what it says."""
    if isinstance(text, str):
        return text
    return bytes(text).decode(errors="replace").replace(";", "\\u003b")


def _raw(body: bytes) -> msgspec.Raw | str:
    """As it arrived, on one line; text if it is no JSON."""
    try:
        return msgspec.Raw(msgspec.json.format(body, indent=-1))
    except msgspec.MsgspecError:
        return body.decode(errors="replace")


def defused(value: object) -> str:
    """As the text of a cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return GAP.sub(_defused, text)


def _defused(found: re.Match[str]) -> str:
    gap, sign = found.groups()
    return f"{gap}'{sign}" if sign and (found.start() == 0 or not PARTING.isdisjoint(gap)) else found[0]


def _csv(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode(errors="replace")
