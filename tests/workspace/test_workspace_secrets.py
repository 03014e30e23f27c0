"""Secrets at rest: never in plain, never lost in silence, and only their own destination stops without the key."""

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.secrets import KeyProvider, Sealed, key_of, seal, unseal
from milonga.workspace.store import Workspace
from tests.workspace.paper import KEY_A, KEY_B, Settings, open_paper

on, off, paused = DestinationState.on, DestinationState.off, DestinationState.paused

HUSH = "hush-hush-4711-ünïcode"


def with_secret(workspace: Workspace, name: str = "paper", **settings: object) -> DestinationConfig:
    if not workspace.sources.all():
        workspace.sources.add("web")
    return workspace.add_destination("paper", "web", name, {"token": HUSH, "copies": 2, **settings}, on, {0: 0})


def settings_of(workspace: Workspace, name: str = "paper") -> Settings:
    settings = workspace.destination(name).settings
    assert isinstance(settings, Settings)
    return settings


def test_a_secret_is_in_no_file_of_the_data_directory_in_any_form_we_know(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_paper(data) as workspace:
        with_secret(workspace)
        workspace.set_settings("paper", {"token": HUSH + "2"})
        workspace.set_settings("paper", {"copies": 3})
        raw = HUSH.encode()
        forms = [raw, raw.hex().encode(), base64.b64encode(raw)[:-4], HUSH.encode("utf-16-le"), b"hush-hush"]
        with apsw.Connection(str(data / "workspace.db")) as db:
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        files = {path: path.read_bytes() for path in data.iterdir()}
        assert {path.name for path in files} >= {"workspace.db", "workspace.db-wal"}
        assert any(b"copies" in content for content in files.values()), "this looks at the right bytes"
        for path, content in files.items():
            assert not [form for form in forms if form in content], path
        assert workspace.destination("paper").settings == Settings(token=HUSH + "2", copies=3)


def test_the_key_is_made_when_first_needed_beside_the_data_directory_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = tmp_path / "data.key"
    with open_paper(data) as workspace:
        workspace.sources.add("web")
        workspace.add_destination("paper", "web", "open", {"copies": 2}, on, {0: 0})
        assert not key.exists()
        with_secret(workspace)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(base64.b64decode(key.read_bytes())) == 32
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with open_paper(data) as again:
        assert settings_of(again).token == HUSH


@pytest.mark.parametrize("how", ["variable", "file"])
def test_the_key_can_come_from_the_environment_or_a_named_file(tmp_path: Path, how: str) -> None:
    named = tmp_path / "elsewhere" / "milonga.key"
    env = {"MILONGA_KEY": KEY_A} if how == "variable" else {"MILONGA_KEY_FILE": str(named)}
    with open_paper(tmp_path / "data", env) as workspace:
        with_secret(workspace)
    assert not (tmp_path / "data.key").exists()
    assert named.exists() is (how == "file")
    with open_paper(tmp_path / "data", env) as again:
        assert settings_of(again).token == HUSH


def test_a_key_inside_the_data_directory_is_refused(tmp_path: Path) -> None:
    with (
        open_paper(tmp_path / "data", {"MILONGA_KEY_FILE": str(tmp_path / "data" / "key")}) as workspace,
        pytest.raises(UserError, match="inside the data directory"),
    ):
        with_secret(workspace)


@pytest.mark.parametrize("text", ["", "not base64!", base64.b64encode(b"short").decode(), "ü", "\x00\x01"])
def test_a_key_file_that_holds_no_key_is_an_error_that_names_it_and_is_left_alone(tmp_path: Path, text: str) -> None:
    key = tmp_path / "data.key"
    key.write_text(text)
    with open_paper(tmp_path / "data") as workspace, pytest.raises(UserError, match=r"data\.key.*32 random bytes"):
        with_secret(workspace)
    assert key.read_text() == text


def test_a_malformed_key_variable_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data", {"MILONGA_KEY": "almost-a-key"}) as workspace:
        workspace.sources.add("web")
        with pytest.raises(UserError, match="environment variable MILONGA_KEY") as refused:
            workspace.add_destination("paper", "web", "paper", {"token": HUSH}, on, {0: 0})
    assert "almost" not in str(refused.value)


def test_without_the_key_only_destinations_with_secrets_pause_and_they_say_what_to_do(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_paper(data) as workspace:
        with_secret(workspace)
        workspace.add_destination("paper", "web", "open", {"copies": 3}, on, {0: 0})
    (tmp_path / "data.key").rename(tmp_path / "kept.key")
    with open_paper(data) as workspace:
        locked, unlocked = workspace.destinations()
        assert (unlocked.state, unlocked.settings) == (on, Settings(copies=3))
        assert (locked.state, locked.settings) == (paused, Settings(copies=2))
        assert locked.changes[-1].by == "workspace"
        reason = locked.changes[-1].reason
        assert f"key file {tmp_path / 'data.key'} back" in reason
        assert "milonga destinations set paper --set token=... --new-key" in reason
        assert not (tmp_path / "data.key").exists()


def test_when_the_key_is_put_back_a_running_workspace_notices_and_all_is_as_before(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_paper(data) as workspace:
        before = with_secret(workspace)
    (tmp_path / "data.key").rename(tmp_path / "kept.key")
    with open_paper(data) as workspace:
        assert workspace.destination("paper").state is paused
        token = workspace.token()
        assert not workspace.changed_since(token)
        (tmp_path / "kept.key").rename(tmp_path / "data.key")
        assert workspace.changed_since(token)
        assert workspace.destination("paper") == before


def test_with_another_key_secrets_stay_as_they_are_and_open_again_with_their_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_paper(data, {"MILONGA_KEY": KEY_A}) as workspace:
        before = with_secret(workspace)
    with open_paper(data, {"MILONGA_KEY": KEY_B}) as workspace:
        locked = workspace.destination("paper")
        assert (locked.state, locked.settings) == (paused, Settings(copies=2))
        assert (
            "sealed with another key than the one in the environment variable MILONGA_KEY" in locked.changes[-1].reason
        )
        assert KEY_B not in locked.changes[-1].reason
        # What needs no key can be changed all the same, and carries the secret along unopened.
        assert workspace.set_settings("paper", {"copies": 4}).settings_version == 2
        assert workspace.settings_at(before.id, 2) == Settings(token="***", copies=4)
    with open_paper(data, {"MILONGA_KEY": KEY_A}) as workspace:
        after = workspace.destination("paper")
        assert (after.state, after.settings) == (on, Settings(token=HUSH, copies=4))


@pytest.mark.parametrize("env", [{}, {"MILONGA_KEY": KEY_B}])
def test_without_the_right_key_nothing_is_sealed_with_another_by_accident(tmp_path: Path, env: dict[str, str]) -> None:
    data = tmp_path / "data"
    with open_paper(data, {"MILONGA_KEY": KEY_A}) as workspace:
        with_secret(workspace)
    with open_paper(data, env) as workspace:
        with pytest.raises(UserError, match="--new-key"):
            workspace.set_settings("paper", {"token": "new"})
        with pytest.raises(UserError, match="--new-key"):
            with_secret(workspace, "second")
    assert not (tmp_path / "data.key").exists()
    with open_paper(data, {"MILONGA_KEY": KEY_A}) as workspace:
        assert [config.settings for config in workspace.destinations()] == [Settings(token=HUSH, copies=2)]


@pytest.mark.parametrize("env", [{}, {"MILONGA_KEY": KEY_B}])
def test_a_key_that_is_lost_for_good_is_replaced_by_giving_the_secrets_anew(
    tmp_path: Path, env: dict[str, str]
) -> None:
    data = tmp_path / "data"
    with open_paper(data, {"MILONGA_KEY": KEY_A}) as workspace:
        with_secret(workspace)
        with_secret(workspace, "second", pin="1234")
    with open_paper(data, env) as workspace:
        mended = workspace.set_settings("paper", {"token": "new"}, new_key=True)
        assert (mended.state, mended.settings) == (on, Settings(token="new", copies=2))
        assert workspace.destination("second").state is paused
        # A secret can be given up, too: then there is nothing left to open.
        workspace.set_settings("second", {"pin": ""})
        assert workspace.destination("second").state is paused
        mended = workspace.set_settings("second", {"token": ""})
        assert (mended.state, mended.settings) == (on, Settings(copies=2))
        workspace.set_settings("second", {"pin": "99"})
    with open_paper(data, env) as workspace:
        assert settings_of(workspace, "second").pin == "99"


def test_a_sealed_secret_opens_only_with_its_key_in_its_place_and_undamaged() -> None:
    key = key_of(b"k" * 32)
    sealed = seal(key, HUSH, 7, "token")
    assert sealed.data is not None
    assert unseal(key, sealed, 7, "token") == HUSH
    assert unseal(key, sealed, 8, "token") is None
    assert unseal(key, sealed, 7, "pin") is None
    assert unseal(key_of(b"l" * 32), sealed, 7, "token") is None
    assert unseal(key_of(b"l" * 32), Sealed(key_of(b"l" * 32).id, sealed.data), 7, "token") is None
    for damaged in (b"", sealed.data[:-1], sealed.data[:-1] + b"\x00\x00", b"\x00" + sealed.data[1:] + b"\x01"):
        assert unseal(key, Sealed(key.id, damaged), 7, "token") is None
    assert unseal(key, Sealed(key.id, None), 7, "token") is None
    assert seal(key, HUSH, 7, "token") != sealed


def test_a_damaged_secret_pauses_its_destination_and_says_so(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data") as workspace:
        with_secret(workspace)
    with apsw.Connection(str(tmp_path / "data" / "workspace.db")) as db:
        db.execute("UPDATE secret SET sealed = zeroblob(40)")
    with open_paper(tmp_path / "data") as workspace:
        locked = workspace.destination("paper")
        assert locked.state is paused
        assert "or damaged" in locked.changes[-1].reason


def test_the_key_never_shows_in_its_repr() -> None:
    assert "kkkk" not in repr(key_of(b"k" * 32))


MAKE = """
import sys
from pathlib import Path
from milonga.workspace.secrets import KeyProvider
sys.stdin.readline()
print(KeyProvider(Path(sys.argv[1]), {}).make().id)
"""


def test_processes_that_make_the_key_at_once_end_up_with_the_same(tmp_path: Path) -> None:
    data = tmp_path / "data"
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    ids = {maker.communicate(timeout=30)[0] for maker in makers}
    key = KeyProvider(data, {}).find()
    assert key is not None
    assert ids == {f"{key.id}\n"}
    assert os.listdir(tmp_path) == ["data.key"]  # noqa: PTH208  the order does not matter for one
