"""
What commands print: tables, JSON, lines. Nothing that came from outside reaches a terminal raw: a control character in
an event could else move the cursor, change the title, or fake a line.
"""

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import typer
from msgspec import Struct
from rich.cells import cell_len, set_cell_size

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C1 too: some terminals take U+009B for ESC [), line ends, what turns the direction of text, and
halves of surrogate pairs, which cannot be printed."""
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
BETWEEN: Final = "  "  #: two columns


def clean(text: str, most: int | None = None) -> str:
    """On one line, without control characters: `\\n`, `\\x1b`, `\\u2028` in their place. most  characters of it"""
    if most is not None and len(text) > most:
        text = text[: most - 1] + "…"
    return _UNSAFE.sub(_escaped, text)


def many(number: int, what: str) -> str:
    """`1 event`, `1,234 events`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    return _NAMED.get(sign) or (f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}")


def json_text(value: object, indent: int = 2) -> str:
    """For people and machines: what a terminal could take amiss stands as \\u escapes. 0: on one line"""
    try:
        encoded = msgspec.json.encode(value)
        text = msgspec.json.format(encoded, indent=indent).decode() if indent else encoded.decode()
    except (UnicodeEncodeError, msgspec.MsgspecError):  # half a surrogate pair, a number beyond every range
        text = json.dumps(value, indent=indent or None)
    return _UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def print_json(value: object) -> None:
    typer.echo(json_text(value))


class Column(Struct, frozen=True):
    """
    least  cells it may be shortened to; 0: it never is, as ids and codes, which are to be copied
    drop   left out if room is wanting, the highest number first; 0: never
    time   ISO 8601; shortened by its fraction
    """

    name: str
    least: int = 0
    drop: int = 0
    time: bool = False


TIME_CELLS: Final = 19  #: `2024-03-05 14:22:07`


def print_table(columns: Sequence[Column | str], rows: Iterable[Sequence[str]]) -> None:
    """
    Columns as wide as their content. A terminal too narrow for them gets them shortened, or some left out, as they
    allow; else one record per block. Elsewhere lines are as long as they need to be.
    """
    wanted = [Column(column) if isinstance(column, str) else column for column in columns]
    for line in lay_out(wanted, [[clean(cell) for cell in row] for row in rows], terminal_width()):
        typer.echo(line)


def print_rows(columns: Sequence[Column | str], rows: Sequence[Mapping[str, Any]], nothing: str, *, json: bool) -> None:
    """
    What was listed, as a table of these fields, or all of it as JSON.

    nothing  what is said if there are no rows
    """
    names = [column if isinstance(column, str) else column.name for column in columns]
    if json:
        print_json(rows)
    elif rows:
        print_table(columns, [[str(row[name] or "-") for name in names] for row in rows])
    else:
        typer.echo(nothing)


def terminal_width() -> int | None:
    """None: not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Pure. Cells must be clean."""
    chosen = fitting(columns, rows, width)
    if chosen is None:
        return _blocks(columns, rows)
    lines = [_line([columns[place].name for place in chosen], chosen.values())]
    lines.append("─" * max(sum(chosen.values()) + len(BETWEEN) * (len(chosen) - 1), 1))
    lines += [_line([row[place] for place in chosen], chosen.values()) for row in rows]
    left_out = [column.name for place, column in enumerate(columns) if place not in chosen]
    if left_out:
        lines.append(f"(no room for {', '.join(left_out)}: --json has all)")
    return lines


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> dict[int, int] | None:
    """Places of the columns that fit, each with its cells; None if what must stay does not fit."""
    natural = {
        place: max(cell_len(column.name), *(cell_len(row[place]) for row in rows), 1)
        for place, column in enumerate(columns)
    }
    by_drop = sorted((column.drop, place) for place, column in enumerate(columns) if column.drop)
    while width is not None:
        cells = _shortened(columns, natural, width)
        if cells is not None:
            return cells
        if not by_drop:
            return None
        del natural[by_drop.pop()[1]]
    return natural


def _shortened(columns: Sequence[Column], natural: dict[int, int], width: int) -> dict[int, int] | None:
    room = width - len(BETWEEN) * (len(natural) - 1)
    if sum(natural.values()) <= room:
        return natural
    cells = {
        place: min(wide, TIME_CELLS) if columns[place].time and wide > TIME_CELLS else wide
        for place, wide in natural.items()
    }
    floor = {
        place: min(wide, max(columns[place].least, cell_len(columns[place].name))) if columns[place].least else wide
        for place, wide in cells.items()
    }
    while sum(cells.values()) > room:
        longest = max(cells, key=lambda place: (cells[place] > floor[place], cells[place]))
        if cells[longest] <= floor[longest]:
            return None
        cells[longest] -= 1
    return cells


def _line(row: Sequence[str], cells: Iterable[int]) -> str:
    return BETWEEN.join(_cell(text, wide) for text, wide in zip(row, cells, strict=True)).rstrip()


def _cell(text: str, wide: int) -> str:
    if cell_len(text) <= wide:
        return set_cell_size(text, wide)
    if wide == TIME_CELLS and text.endswith("Z") and text[10:11] == "T":
        return text[:TIME_CELLS].replace("T", " ")
    return set_cell_size(text, wide - 1) + "…"


def _blocks(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    wide = max(cell_len(column.name) for column in columns)
    lines: list[str] = []
    for row in rows:
        lines += ["─" * 20] if lines else []
        lines += [
            f"{set_cell_size(column.name, wide)}{BETWEEN}{cell}".rstrip()
            for column, cell in zip(columns, row, strict=True)
            if cell and cell != "-"
        ]
    return lines


def folded(line: str, width: int | None) -> list[str]:
    """A line of words as several, none longer than the terminal, each indented as the first; ids stay whole."""
    if width is None or cell_len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line, width, initial_indent="", subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def one_line(columns: Sequence[Column], row: Sequence[str], width: int | None) -> str:
    """A row without a table around it, as far as the terminal allows."""
    cells = [clean(cell) for cell in row]
    chosen = fitting([Column("", c.least, c.drop, c.time) for c in columns], [cells], width)
    if chosen is None:
        return BETWEEN.join(cells)
    return _line([cells[place] for place in chosen], chosen.values())
