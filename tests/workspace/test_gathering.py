"""
What others may do as often as they like, on its way to the audit log: the first at once, those that follow gathered,
and never too many.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from milonga.workspace import gathering as module
from milonga.workspace.audit import failed_login, refused_token, taken
from milonga.workspace.gathering import Gathering
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace

HERE = "192.0.2.1"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Workspace.open(tmp_path) as workspace:
        workspace.users.add("ada", Role.viewer)
    return tmp_path


@pytest.fixture
def gathering(data: Path) -> Iterator[Gathering]:
    """By a clock that stands still."""
    found = Gathering(data, clock=lambda: 1_000.0)
    yield found
    found.close()


def told(data: Path) -> list[tuple[str, str, int]]:
    """(name, address, attempts), the oldest first"""
    with Workspace.open(data) as workspace:
        rows = reversed(workspace.audit.page(1_000, what="session.failed"))
        return [(one.name, one.changes["address"][1], one.changes["attempts"][1]) for one in rows]


def test_the_first_is_written_at_once_and_those_that_follow_together(data: Path, gathering: Gathering) -> None:
    gathering.add(failed_login("ada", HERE))
    assert told(data) == [("ada", HERE, 1)]
    for _ in range(5):
        gathering.add(failed_login("ada", HERE))
        gathering.add(failed_login("a password, typed into the wrong field", HERE))
    assert told(data) == [("ada", HERE, 1)], "the disk is not written to for each"
    gathering.close()
    assert told(data) == [("ada", HERE, 6), ("", HERE, 5)]


def test_they_are_written_by_themselves_after_a_while(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    gathering = Gathering(data)
    written = threading.Event()
    gathering.add(failed_login("ada", HERE))
    write = gathering.write

    def and_say_so() -> None:
        write()
        if told(data) == [("ada", HERE, 2)]:
            written.set()

    monkeypatch.setattr(gathering, "write", and_say_so)
    gathering.add(failed_login("ada", HERE))
    assert written.wait(60)
    gathering.close()


def test_of_a_flood_from_everywhere_so_many_are_told_apart(
    data: Path, gathering: Gathering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    for number in range(50):
        gathering.add(failed_login("ada", f"192.0.2.{number}"))
    gathering.close()
    rows = told(data)
    assert len(rows) == 5  # the first, three more, and the others
    assert rows[-1][:2] == ("", "others")
    assert sum(n for _, _, n in rows) == 50


def test_files_that_are_exported_and_tokens_that_are_refused_are_counted_by_who_what_and_from_where(
    data: Path, gathering: Gathering
) -> None:
    letters = taken("token:ci", "dead_letters", "totango", HERE, "events")
    for n in (3, 200, 7):
        gathering.add(letters, n)
    gathering.add(taken("user:ada", "dead_letters", "totango", HERE, "files"))
    gathering.add(taken("token:ci", "parked", "totango", HERE, "events"))
    for _ in range(3):
        gathering.add(refused_token("old", HERE))
    gathering.close()
    with Workspace.open(data) as workspace:
        rows = {(one.by, one.what, one.name): one.changes for one in workspace.audit.page(100)}
    here = {"address": (None, HERE)}
    assert rows[("token:ci", "export.dead_letters", "totango")] == {**here, "events": (None, 210)}
    assert rows[("user:ada", "export.dead_letters", "totango")] == {**here, "files": (None, 1)}
    assert rows[("token:ci", "export.parked", "totango")] == {**here, "events": (None, 1)}
    assert rows[("stranger", "token.refused", "old")] == {**here, "attempts": (None, 3)}


def test_a_flood_of_strangers_leaves_it_told_who_took_something_away(
    data: Path, gathering: Gathering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    for number in range(50):
        gathering.add(refused_token("", f"192.0.2.{number}"))
    gathering.add(taken("token:ci", "events", "", HERE, "events"), 9)
    gathering.close()
    with Workspace.open(data) as workspace:
        (row,) = workspace.audit.page(100, what="export")
    assert (row.by, row.what, row.changes["events"]) == ("token:ci", "export.events", (None, 9))


def test_what_cannot_be_written_keeps_nobody_waiting(tmp_path: Path) -> None:
    gathering = Gathering(tmp_path / "gone" / "data")
    (tmp_path / "gone").write_text("a file where the folder should be")
    gathering.add(failed_login("ada", HERE))
    gathering.close()
