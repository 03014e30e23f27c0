"""Going back to earlier settings: a new version, secrets included, and what each version changed."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from milonga.workspace.changes import Change
from milonga.workspace.errors import NotThere, UserError
from milonga.workspace.model import DestinationConfig, DestinationState, StateChange
from milonga.workspace.settings import UNSET
from milonga.workspace.store import Workspace
from tests.workspace.paper import KEY_A, KEY_B, Settings, open_paper

on, paused = DestinationState.on, DestinationState.paused

HUSH = "hush-hush-4711"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_paper(tmp_path / "data") as made:
        made.sources.add("web")
        made.add_destination("paper", "web", "paper", {"token": HUSH, "copies": 2}, on, {0: 0})
        yield made


def settings_of(config: DestinationConfig) -> Settings:
    assert isinstance(config.settings, Settings)
    return config.settings


def test_the_last_change_is_undone_as_a_new_version_and_undone_again_redone(workspace: Workspace) -> None:
    workspace.set_settings("paper", {"copies": 5, "token": "another", "concurrency": 3})
    undone = workspace.revert_settings("paper", by="user:ada")
    assert (undone.lost, undone.config.settings_version) == ((), 3)
    assert settings_of(undone.config) == Settings(token=HUSH, copies=2)
    assert undone.config.delivery.concurrency == 64
    (version,) = workspace.settings_changes(undone.config.id, limit=1)
    assert (version.version, version.by, {one.name for one in version.changes}) == (
        *(3, "user:ada"),
        {"copies", "token", "concurrency"},
    )
    redone = workspace.revert_settings("paper").config
    assert (redone.settings_version, redone.delivery.concurrency) == (4, 3)
    assert settings_of(redone) == Settings(token="another", copies=5)


def test_any_earlier_version_can_be_had_back(workspace: Workspace) -> None:
    for copies in (3, 4, 5):
        workspace.set_settings("paper", {"copies": copies})
    workspace.set_settings("paper", {"pin": "1234", "token": UNSET})
    now = workspace.revert_settings("paper", 2).config
    assert (now.settings_version, settings_of(now)) == (6, Settings(token=HUSH, copies=3))
    assert workspace.revert_settings("paper", 5).config.settings == Settings(copies=5, pin="1234")


def test_where_nothing_differs_there_is_no_new_version(workspace: Workspace) -> None:
    workspace.set_settings("paper", {"copies": 5})
    workspace.set_settings("paper", {"copies": 2, "token": HUSH})
    assert workspace.revert_settings("paper", 1).config.settings_version == 3
    assert workspace.revert_settings("paper", 3).config.settings_version == 3


@pytest.mark.parametrize("version", [0, -1, 3, 99])
def test_a_version_there_never_was_is_refused(workspace: Workspace, version: int) -> None:
    workspace.set_settings("paper", {"copies": 5})
    with pytest.raises(NotThere, match="from 1 to 2"):
        workspace.revert_settings("paper", version)


def test_the_first_settings_have_none_before_them(workspace: Workspace) -> None:
    with pytest.raises(NotThere, match="none to go back to"):
        workspace.revert_settings("paper")


def test_what_the_pipeline_paused_because_of_its_settings_goes_on(workspace: Workspace) -> None:
    workspace.set_settings("paper", {"postTo": "https://wrong.example"})
    workspace.change_state("paper", paused, "settings", "It answered 401.", {0: 7})
    config = workspace.revert_settings("paper", end={0: 9}).config
    assert config.state is on
    assert config.changes[-1].reason == "settings were changed"
    workspace.change_state("paper", paused, "user:ada", "by hand", {0: 9})
    assert workspace.revert_settings("paper").config.state is paused


def test_a_secret_whose_key_is_lost_stays_as_it_is_now_and_is_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_paper(data, {"MILONGA_KEY": KEY_A}) as workspace:
        workspace.sources.add("web")
        workspace.add_destination("paper", "web", "paper", {"token": HUSH, "pin": "12", "copies": 2}, on, {0: 0})
    with open_paper(data, {"MILONGA_KEY": KEY_B}) as workspace:
        workspace.set_settings("paper", {"token": "another", "pin": "", "copies": 3}, new_key=True)
        undone = workspace.revert_settings("paper")
        assert undone.lost == ("pin", "token")
        assert settings_of(undone.config) == Settings(token="another", copies=2)
        (version,) = workspace.settings_changes(undone.config.id, limit=1)
        assert version.changes == (Change("copies", "Copies", 3, 2),)


def test_without_the_key_here_secrets_go_back_as_they_lie(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_paper(data, {"MILONGA_KEY": KEY_A}) as workspace:
        workspace.sources.add("web")
        workspace.add_destination("paper", "web", "paper", {"token": HUSH}, on, {0: 0})
        workspace.set_settings("paper", {"token": "another", "copies": 3})
    with open_paper(data) as workspace:
        assert workspace.revert_settings("paper").lost == ()
    with open_paper(data, {"MILONGA_KEY": KEY_A}) as workspace:
        assert settings_of(workspace.destination("paper")) == Settings(token=HUSH)


def test_a_version_whose_values_the_kind_takes_no_more_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    workspace.set_settings("paper", {"copies": 5})

    with apsw.Connection(str(tmp_path / "data/workspace.db")) as db:
        db.execute("""UPDATE settings SET plain = '{"copies": 99}' WHERE version = 1""")
    with pytest.raises(UserError, match="Version 1 of paper cannot be used any more: what is stored for copies"):
        workspace.revert_settings("paper", 1)
    assert settings_of(workspace.destination("paper")).copies == 5


def test_each_version_tells_what_it_changed_from_which_value_to_which(workspace: Workspace) -> None:
    workspace.set_settings("paper", {"postTo": "https://x.example/in?key=4711", "size": "A5"}, by="demo")
    workspace.set_settings("paper", {"token": UNSET, "rateLimit": 5}, by="token:ci")
    workspace.set_settings("paper", {"token": "another"})
    config = workspace.destination("paper")
    told = workspace.settings_changes(config.id)
    assert [(one.version, one.by) for one in told] == [(4, "cli"), (3, "token:ci"), (2, "demo"), (1, "cli")]
    assert told[0].changes == (Change("token", "Token", "", "***"),)
    assert told[1].changes == (
        Change("token", "Token", "***", ""),
        Change("rateLimit", "Requests a second", 0.0, 5.0),
    )
    assert told[2].changes == (
        Change("postTo", "Post to", "", "https://x.example/in?***"),
        Change("size", "Size", "A4", "A5"),
    )
    assert set(told[3].changes) == {Change("token", "Token", "", "***"), Change("copies", "Copies", 1, 2)}
    assert HUSH not in repr(told)


def test_versions_are_told_page_by_page_also_of_a_removed_destination(workspace: Workspace) -> None:
    for copies in range(3, 8):
        workspace.set_settings("paper", {"copies": copies})
    id_ = workspace.destination("paper").id
    workspace.remove_destination("paper", {0: 0})
    first = workspace.settings_changes(id_, limit=2)
    rest = workspace.settings_changes(id_, before=first[-1].version, limit=10)
    assert [one.version for one in (*first, *rest)] == [6, 5, 4, 3, 2, 1]
    assert [(one.before, one.after) for each in (*first, *rest) for one in each.changes if one.name == "copies"] == [
        *((6, 7), (5, 6), (4, 5), (3, 4), (2, 3), (1, 2)),
    ]
    assert workspace.settings_changes(4711) == ()


def test_history_keeps_its_order(workspace: Workspace) -> None:
    workspace.set_settings("paper", {"copies": 5})
    workspace.revert_settings("paper")
    kinds = ["state" if isinstance(one, StateChange) else one.version for one in workspace.history("paper")]
    assert kinds == [1, "state", 2, 3]
