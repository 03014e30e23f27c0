"""Regulations as rows: what they hold, and that the ids they name are gone from every file in the end."""

from pathlib import Path

import apsw
import pytest

from milonga.privacy.regulation import MOST_USERS, Kind, Status
from milonga.workspace.errors import UserError
from milonga.workspace.migrate import keep_copy
from milonga.workspace.model import DestinationState
from milonga.workspace.regulations import suppressing_sources, suppressions
from milonga.workspace.store import Workspace

ADA = "ada.lovelace@example.com"


def found_in(data: Path, text: str) -> list[str]:
    return sorted(path.name for path in data.iterdir() if path.is_file() and text.encode() in path.read_bytes())


def test_a_suppressed_user_is_known_by_a_digest_alone(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        web = workspace.sources.add("web")
        regulations, version = workspace.regulations, workspace.regulations.version()
        first = regulations.create(Kind.suppress_only, [ADA, "bob", ADA])
        assert (first.users, first.status, first.source) == (2, Status.initialized, None)
        assert regulations.version() != version
        regulations.create(Kind.suppress_only, [ADA], "web")
        assert regulations.suppressed(ADA) == {None: 1, web.id: 2}
        assert regulations.suppressed("ada") == {}
        assert found_in(tmp_path, ADA) == []
        assert len(list(suppressions(tmp_path / "workspace.db", 0))) == 2
        assert suppressing_sources(tmp_path / "workspace.db") == [0, web.id]
        regulations.create(Kind.unsuppress, [ADA], "web")
        assert regulations.suppressed(ADA) == {None: 1}
        regulations.create(Kind.unsuppress, [ADA])
        assert regulations.suppressed(ADA) == {}
        assert regulations.count_suppressed() == 1


def test_a_deletion_goes_its_way_and_leaves_no_id(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        workspace.sources.add("web")
        workspace.add_destination("webhook", "web", "hook", {"url": "https://x.example"}, DestinationState.on, {0: 0})
        workspace.change_state("hook", DestinationState.paused, "settings", f"Answered: {ADA} is unknown", {0: 0})
        command = workspace.commands.ask("replay", {})
        workspace.commands.finish(command, {"diff": [ADA]})
        regulations = workspace.regulations
        one = regulations.create(Kind.suppress_with_delete_internal, [ADA, *(f"user-{n:05}" for n in range(2000))])
        (deletion,) = regulations.deletions()
        assert deletion.upto is None
        assert ADA in deletion.users
        database = apsw.Connection(str(tmp_path / "workspace.db"))
        keep_copy(database)  # as a migration in the middle of it would
        database.close()
        regulations.begin([one.id], {0: 7})
        (deletion,) = regulations.deletions()
        assert deletion.upto == {0: 7}
        regulations.delivery_done([one.id], {"deadLetters": 2})
        regulations.troubled([one.id], "the disk is full")
        assert regulations.regulation(one.id).trouble == "the disk is full"
        regulations.log_done([one.id], {"events": 5}, [])
        assert regulations.deletions() == ()
        assert [open_.id for open_ in regulations.open()] == [one.id]
        regulations.scrub()
        assert found_in(tmp_path, ADA) == []
        assert found_in(tmp_path, "user-01234") == []
        regulations.finish([one.id])
        ended = regulations.regulation(one.id)
        assert (ended.status, ended.counts, ended.trouble) == (Status.finished, {"deadLetters": 2, "events": 5}, "")
        assert regulations.open() == ()
        assert regulations.suppressed(ADA) == {None: one.id}
        assert "named a user who was deleted" in workspace.destination("hook").changes[-1].reason


def test_files_that_were_left_make_it_a_partial_success(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        one = workspace.regulations.create(Kind.delete_internal, [ADA])
        workspace.regulations.log_done([one.id], {}, ["log/1.db.damaged-5"])
        workspace.regulations.finish([one.id])
        ended = workspace.regulations.regulation(one.id)
        assert (ended.status, ended.left) == (Status.partial_success, ("log/1.db.damaged-5",))


@pytest.mark.parametrize("users", [[], [""], ["x" * 40_000], ["\udc80"], ["u"] * 0])
def test_what_cannot_be_a_user_is_refused(tmp_path: Path, users: list[str]) -> None:
    with Workspace.open(tmp_path) as workspace:
        with pytest.raises(UserError, match="Nothing was changed"):
            workspace.regulations.create(Kind.suppress_only, users)
        with pytest.raises(UserError, match="at most 5,000"):
            workspace.regulations.create(Kind.delete_internal, [str(n) for n in range(MOST_USERS + 1)])
        with pytest.raises(UserError, match="no source called"):
            workspace.regulations.create(Kind.delete_internal, ["ada"], "nowhere")
        assert workspace.regulations.all() == ()
