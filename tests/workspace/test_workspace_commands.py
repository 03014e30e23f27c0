"""Asking a running server to do something, and its answer."""

from pathlib import Path

import pytest

from milonga.workspace.commands import KEPT
from milonga.workspace.model import Command
from tests.workspace.paper import Clock, open_paper


def test_a_command_waits_until_it_is_finished_and_its_result_stays(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data") as asking, open_paper(tmp_path / "data") as serving:
        first = asking.commands.ask("resend", {"destination": 5, "positions": [[0, 7], [0, 9]]})
        second = asking.commands.ask("discard", {})
        (told, _) = serving.commands.pending()
        assert told == Command(
            id=first,
            asked_at=told.asked_at,
            kind="resend",
            args={"destination": 5, "positions": [[0, 7], [0, 9]]},
        )
        assert asking.commands.result(first) is None
        serving.commands.finish(first, {"done": 2})
        assert asking.commands.result(first) == {"done": 2}
        assert [command.id for command in serving.commands.pending()] == [second]


def test_what_a_finished_command_asked_for_is_not_kept(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data") as workspace:
        asked = workspace.commands.ask("edit", {"event": '{"userId": "ada-lovelace"}'})
        workspace.commands.finish(asked, {"done": 1})
        assert b"ada-lovelace" not in b"".join(
            str(row).encode() for row in workspace.commands._database.db.execute("SELECT * FROM command")
        )


def test_a_command_is_finished_once(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data") as workspace:
        asked = workspace.commands.ask("resend", {})
        workspace.commands.finish(asked, {"done": 1})
        workspace.commands.finish(asked, {"done": 2})
        assert workspace.commands.result(asked) == {"done": 1}


def test_old_results_are_thrown_away_but_never_what_still_waits(tmp_path: Path) -> None:
    clock = Clock()
    with open_paper(tmp_path / "data", now=clock) as workspace:
        done, waiting = workspace.commands.ask("resend", {}), workspace.commands.ask("discard", {})
        workspace.commands.finish(done, {})
        clock.at += KEPT + 1000
        later = workspace.commands.ask("resend", {})
        workspace.commands.finish(later, {"done": 0})
        with pytest.raises(KeyError):
            workspace.commands.result(done)
        assert workspace.commands.result(later) == {"done": 0}
        assert [command.id for command in workspace.commands.pending()] == [waiting]
        assert workspace.commands.ask("resend", {}) > later
