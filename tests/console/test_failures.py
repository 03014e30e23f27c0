"""Wrong passwords on their way to the audit log: the first at once, those that follow gathered, and never too many."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from milonga.console import failures
from milonga.console.failures import Failures
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace

HERE = "192.0.2.1"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Workspace.open(tmp_path) as workspace:
        workspace.users.add("ada", Role.viewer)
    return tmp_path


@pytest.fixture
def gathering(data: Path) -> Iterator[Failures]:
    """By a clock that stands still."""
    found = Failures(data, clock=lambda: 1_000.0)
    yield found
    found.close()


def told(data: Path) -> list[tuple[str, str, int]]:
    """(name, address, attempts), the oldest first"""
    with Workspace.open(data) as workspace:
        rows = reversed(workspace.audit.page(1_000, what="session.failed"))
        return [(one.name, one.changes["address"][1], one.changes["attempts"][1]) for one in rows]


def test_the_first_is_written_at_once_and_those_that_follow_together(data: Path, gathering: Failures) -> None:
    gathering.add("ada", HERE)
    assert told(data) == [("ada", HERE, 1)]
    for _ in range(5):
        gathering.add("ada", HERE)
        gathering.add("a password, typed into the wrong field", HERE)
    assert told(data) == [("ada", HERE, 1)], "the disk is not written to for each"
    gathering.close()
    assert told(data) == [("ada", HERE, 6), ("", HERE, 5)]


def test_they_are_written_by_themselves_after_a_while(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "EVERY", 0.01)
    gathering = Failures(data)
    written = threading.Event()
    gathering.add("ada", HERE)
    write = gathering.write

    def and_say_so() -> None:
        write()
        if told(data) == [("ada", HERE, 2)]:
            written.set()

    monkeypatch.setattr(gathering, "write", and_say_so)
    gathering.add("ada", HERE)
    assert written.wait(60)
    gathering.close()


def test_of_a_flood_from_everywhere_so_many_are_told_apart(
    data: Path, gathering: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST", 3)
    for number in range(50):
        gathering.add("ada", f"192.0.2.{number}")
    gathering.close()
    rows = told(data)
    assert len(rows) == 5  # the first, three more, and the others
    assert rows[-1][:2] == ("", "others")
    assert sum(n for _, _, n in rows) == 50


def test_neighbours_of_one_ipv6_network_are_one(data: Path, gathering: Failures) -> None:
    for host in range(4):
        gathering.add("ada", f"2001:db8::{host}")
    gathering.close()
    assert told(data) == [("ada", "2001:db8::", 4)]
