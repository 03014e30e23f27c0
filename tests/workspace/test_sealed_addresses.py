"""The query of an address is a secret: sealed at rest, shown as ***, and nothing else asks for the key."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.store import Workspace
from tests.workspace.paper import KEY_A, KEY_B, Settings, open_paper

on, paused = DestinationState.on, DestinationState.paused

HUSH = "hush-hush-4711"
ADDRESS = f"https://hooks.example/in?token={HUSH}"
SHOWN = "https://hooks.example/in?***"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_paper(tmp_path / "data") as made:
        made.sources.add("web")
        made.add_destination("paper", "web", "paper", {"postTo": ADDRESS, "copies": 2}, on, {0: 0}, by="user:ada")
        yield made


def settings_of(config: DestinationConfig) -> Settings:
    assert isinstance(config.settings, Settings)
    return config.settings


def stored(data: Path) -> bytes:
    with closing(apsw.Connection(str(data / "workspace.db"))) as db:
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    return b"".join(path.read_bytes() for path in data.iterdir())


def test_it_is_in_no_file_and_shown_nowhere_and_sent_whole(workspace: Workspace, tmp_path: Path) -> None:
    workspace.set_settings("paper", {"copies": 3}, by="user:ada")
    config = workspace.set_settings("paper", {"postTo": f"{ADDRESS}2"}, by="user:ada")
    assert settings_of(config).post_to == f"{ADDRESS}2"
    assert workspace.settings_at(config.id, 3) == Settings(post_to=SHOWN, copies=3)
    told = f"{workspace.settings_changes(config.id)}{workspace.audit.page(10)}{workspace.history('paper')}"
    assert told.count(SHOWN) >= 4
    assert HUSH not in told
    content = stored(tmp_path / "data")
    assert b"https://hooks.example/in?***" in content, "this looks at the right bytes"
    assert HUSH.encode() not in content


def test_an_address_without_a_query_needs_no_key(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data") as workspace:
        workspace.sources.add("web")
        workspace.add_destination("paper", "web", "paper", {"postTo": "https://hooks.example/in"}, on, {0: 0})
    assert not (tmp_path / "data.key").exists()


def test_without_the_key_the_destination_pauses_and_other_settings_are_changed(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data", {"MILONGA_KEY": KEY_A}) as workspace:
        workspace.sources.add("web")
        workspace.add_destination("paper", "web", "paper", {"postTo": ADDRESS}, on, {0: 0})
    with open_paper(tmp_path / "data", {"MILONGA_KEY": KEY_B}) as workspace:
        config = workspace.destination("paper")
        assert (config.state, settings_of(config).post_to) == (paused, SHOWN)
        assert "postTo of destination paper cannot be read" in config.changes[-1].reason
        assert "--set postTo=... --new-key" in config.changes[-1].reason
        workspace.set_settings("paper", {"copies": 4})
        with pytest.raises(UserError, match="sealed with another key"):
            workspace.set_settings("paper", {"postTo": f"{ADDRESS}2"})
    with open_paper(tmp_path / "data", {"MILONGA_KEY": KEY_A}) as workspace:
        config = workspace.destination("paper")
        assert (config.state, config.settings) == (on, Settings(post_to=ADDRESS, copies=4))


def test_whoever_can_only_write_the_file_leads_it_nowhere_else(workspace: Workspace) -> None:
    with closing(apsw.Connection(workspace._database.db.filename)) as db:
        db.execute("UPDATE settings SET plain = replace(plain, 'hooks.example', 'evil.example')")
    assert settings_of(workspace.destination("paper")).post_to == ADDRESS


def test_what_is_shown_is_not_taken_for_an_address(workspace: Workspace) -> None:
    with pytest.raises(UserError, match="give the whole of it") as refused:
        workspace.set_settings("paper", {"postTo": "https://hooks.example/other?***"})
    assert HUSH not in str(refused.value)
    assert settings_of(workspace.destination("paper")).post_to == ADDRESS


def test_undoing_brings_back_the_whole_of_it_and_going_without_a_query_leaves_no_seal(workspace: Workspace) -> None:
    config = workspace.set_settings("paper", {"postTo": "https://hooks.example/in"})
    assert settings_of(config).post_to == "https://hooks.example/in"
    assert settings_of(workspace.revert_settings("paper").config).post_to == ADDRESS
    assert settings_of(workspace.revert_settings("paper", 2).config).post_to == "https://hooks.example/in"
    assert [one.before for one in workspace.settings_changes(config.id)[0].changes] == [SHOWN]


def test_an_address_of_then_that_is_lost_with_its_key_stays_as_it_is_now_as_it_is_shown_too(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data", {"MILONGA_KEY": KEY_A}) as workspace:
        workspace.sources.add("web")
        workspace.add_destination("paper", "web", "paper", {"postTo": ADDRESS, "copies": 2}, on, {0: 0})
    with open_paper(tmp_path / "data", {"MILONGA_KEY": KEY_B}) as workspace:
        other = {"postTo": "https://other.example/?q=1", "copies": 3}
        workspace.set_settings("paper", other, new_key=True)
        undone = workspace.revert_settings("paper", 1)
        assert (undone.lost, undone.config.settings) == (
            ("postTo",),
            Settings(post_to="https://other.example/?q=1", copies=2),
        )
        assert workspace.settings_at(undone.config.id, 3) == Settings(post_to="https://other.example/?***", copies=2)


def test_what_an_earlier_milonga_stored_in_the_clear_is_sealed(workspace: Workspace, tmp_path: Path) -> None:
    gone = workspace.add_destination("paper", "web", "gone", {"postTo": f"{ADDRESS}-gone"}, on, {0: 0})
    workspace.remove_destination("gone", {0: 0})
    assert workspace.seal_addresses() == 0
    with closing(apsw.Connection(workspace._database.db.filename)) as db:
        for name, address in (("paper", ADDRESS), ("gone", f"{ADDRESS}-gone")):
            sql = (
                "UPDATE settings SET plain = replace(plain, ?, ?) FROM destination WHERE id = destination AND name = ?"
            )
            db.execute(sql, (SHOWN, address, name))
        db.execute("DELETE FROM secret")
    assert HUSH.encode() in stored(tmp_path / "data")
    assert workspace.seal_addresses() == 2
    workspace.regulations.scrub()
    assert HUSH.encode() not in stored(tmp_path / "data")
    assert workspace.destination("paper").settings == Settings(post_to=ADDRESS, copies=2)
    assert workspace.settings_at(gone.id, 1) == Settings(post_to=SHOWN)
    assert workspace.seal_addresses() == 0


def test_web_pages_are_told_all_of_an_address_that_is_for_them(tmp_path: Path) -> None:
    collector, endpoint = "https://cdn.example/t.js?v=2", f"https://totango.example/in?token={HUSH}"
    given = {"serviceId": "SP-1", "collector": collector, "endpoint": endpoint, "connectionMode": "device"}
    with Workspace.open(tmp_path / "data") as workspace:
        workspace.sources.add("web")
        workspace.add_destination("totango", "web", "totango", given, on, {0: 0})
        (told,) = workspace.browser_destinations()
        assert told.says is not None
        assert told.says["collector"] == collector
        assert HUSH not in str(told.says)
