"""A damaged workspace.db: every command says so in words, nothing else is touched, and a copy put back suffices."""

import os
import shutil
from pathlib import Path

import apsw
import pytest
from typer.testing import CliRunner

from milonga.cli import main
from milonga.workspace.database import NAME
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace

COMMANDS = (
    ("sources", "list"),
    ("destinations", "list"),
    ("destinations", "show", "webhook"),
    ("destinations", "set", "webhook", "url=https://other.example/"),
    ("destinations", "pause", "webhook"),
    ("sources", "add", "more"),
    ("events", "list"),
    ("explain", "m-1"),
    ("dead", "list"),
    ("dead", "resend", "m-1"),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "key")
        settings = {"url": "https://receiver.example/"}
        workspace.add_destination("webhook", "web", "webhook", settings, DestinationState.on, {0: 0})
        for n in range(5):
            workspace.set_settings("webhook", {"url": f"https://receiver.example/{n}"})
    db = apsw.Connection(str(data / NAME))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()
    return data


def spoil(data: Path, page: int) -> None:
    """Page 1 keeps the file's header: otherwise it is no database at all."""
    with (data / NAME).open("r+b") as file:
        file.seek((page - 1) * 4096 + (100 if page == 1 else 0))
        file.write(os.urandom(3_900))


def pages(data: Path) -> int:
    return (data / NAME).stat().st_size // 4096


def test_whatever_page_is_damaged_every_command_does_it_or_refuses_in_words(data: Path, tmp_path: Path) -> None:
    refused = 0
    for page in range(1, pages(data) + 1):
        spoiled = tmp_path / f"page-{page}"
        shutil.copytree(data, spoiled)
        spoil(spoiled, page)
        for words in COMMANDS:
            done = CliRunner().invoke(main.made(main.COMMANDS), [*words, "--data", str(spoiled)])
            assert done.exception is None or isinstance(done.exception, SystemExit), (page, words, done.exception)
            assert done.exit_code in (0, 1), (page, words, done.output)
            if "damaged" in done.output:
                assert "Put back a copy" in done.output
                refused += 1
    assert refused > 10


def test_what_is_no_database_is_refused_and_left_as_it_is(data: Path) -> None:
    path = data / NAME
    kept, garbage = path.read_bytes(), b"no database at all" * 500
    path.write_bytes(garbage)
    with pytest.raises(UserError, match=r"is damaged or no Milonga workspace.*Put back a copy"):
        Workspace.open(data)
    assert path.read_bytes() == garbage
    path.write_bytes(kept)
    with Workspace.open(data) as workspace:
        assert [source.name for source in workspace.sources.all()] == ["web"]
        assert workspace.destination("webhook").settings_version == 6


def test_a_server_does_not_start_on_it_and_loses_nothing(data: Path) -> None:
    other = data / "delivery.db"
    other.write_bytes(b"whatever it holds")
    (data / NAME).write_bytes(b"no database at all" * 500)
    done = CliRunner().invoke(main.made(main.COMMANDS), ["serve", "--data", str(data), "--port", "0"])
    assert done.exit_code == 1
    assert "is damaged or no Milonga workspace" in done.output
    assert other.read_bytes() == b"whatever it holds"
    assert not list(data.glob("*.damaged-*"))
