"""What tables and lines look like, in a terminal and elsewhere."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from milonga.cli.terminal import Column, clean, folded, json_text, lay_out, one_line
from milonga.workspace.store import Workspace

ID = "4c5e0e7a-1b7d-4a44-9a2f-0f6f0d5c9c11"
TIME = "2024-03-05T14:22:07.123Z"
COLUMNS = (
    Column("receivedAt", time=True),
    Column("name", least=8),
    Column("user", least=8, drop=1),
    Column("source", drop=2),
    Column("messageId"),
)
ROW = (TIME, "Report exported to a spreadsheet", "ada@acme.example", "web", ID)


def test_elsewhere_than_in_a_terminal_nothing_is_shortened_and_no_blank_stands_at_an_end() -> None:
    lines = lay_out(COLUMNS, [ROW, (TIME, "x", "-", "-", "short")], None)
    assert all(cell in lines[2] for cell in ROW)
    assert [line for line in lines if line != line.rstrip()] == []


def test_a_terminal_shortens_first_then_leaves_out_and_never_touches_an_id() -> None:
    for width in (120, 100, 80, 70):
        lines = lay_out(COLUMNS, [ROW], width)
        assert max(map(cell_len, lines[:3])) <= width
        assert ID in lines[2]
        assert "2024-03-05 14:22:07" in lines[2] or TIME in lines[2]
    assert "web" in lay_out(COLUMNS, [ROW], 110)[2]
    narrow = lay_out(COLUMNS, [ROW], 80)
    assert "web" not in narrow[2]
    assert "Report" in narrow[2]
    assert narrow[-1].startswith("(no room for ")


def test_where_what_must_stay_does_not_fit_each_record_is_a_block() -> None:
    lines = lay_out(COLUMNS, [ROW, ROW], 50)
    assert lines[0] == f"receivedAt  {TIME}"
    assert lines[4] == f"messageId   {ID}"
    assert len(lines) == 11


def test_wide_letters_take_two_cells() -> None:
    lines = lay_out([Column("name"), Column("x")], [("日本語", "1"), ("abc", "2")], None)
    assert [cell_len(line.rsplit(" ", 1)[0]) for line in lines[2:]] == [7, 7]


@given(st.lists(st.text(alphabet="ab \u65e5", max_size=40), min_size=5, max_size=5), st.integers(1, 200))
def test_every_width_gets_an_answer(cells: list[str], width: int) -> None:
    lines = lay_out(COLUMNS, [[clean(cell) for cell in cells]], width)
    assert all(line == line.rstrip() and "\n" not in line for line in lines)
    assert "\n" not in one_line(COLUMNS, cells, width)


@given(st.text())
def test_nothing_unprintable_is_left(text: str) -> None:
    for safe in (clean(text), json_text({"a": text}, indent=0)):
        assert not {sign for sign in safe if ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0 or 0xD800 <= ord(sign) < 0xE000}
        assert not set(safe) & set("\u2028\u2029\u202e\u2066")
    if not any(0xD800 <= ord(sign) < 0xE000 for sign in text):
        assert json.loads(json_text({"a": text})) == {"a": text}


def test_words_are_folded_between_words_and_ids_stay_whole() -> None:
    line = f"     It goes after {ID}, which failed and is to be tried again {TIME}."
    parts = folded(line, 60)
    assert max(map(len, parts)) <= 60
    assert all(part.startswith("     ") for part in parts)
    assert any(ID in part for part in parts)
    assert folded(line, None) == [line]


def in_a_terminal(*words: str, columns: int = 80) -> list[str]:
    """What a person sees."""
    person, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "milonga", *words],
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": str(columns)},
    ):
        os.close(terminal)
        seen = b""
        try:
            while part := os.read(person, 65536):
                seen += part
        except OSError:  # Linux: its other end is closed
            pass
        os.close(person)
    return seen.decode().replace("\r\n", "\n").splitlines()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Workspace.open(tmp_path / "data") as workspace:
        workspace.sources.add("a-source-with-quite-a-long-name", "k" * 60)
    return tmp_path / "data"


def test_at_80_columns_no_key_and_no_time_is_cut(data: Path) -> None:
    seen = in_a_terminal("sources", "list", "--data", str(data))
    assert max(map(len, seen)) <= 80
    assert any(line.endswith("k" * 60) for line in seen)
    assert any(line.startswith("added") and line.endswith("Z") for line in seen)
    wide = in_a_terminal("sources", "list", "--data", str(data), columns=200)
    assert wide[0].split() == ["name", "state", "write", "key", "destinations", "added"]
