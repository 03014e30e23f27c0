"""Sources, destinations, states and settings: what the workspace keeps and what it refuses."""

import stat
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState, SettingsVersion, StateChange, UnknownSettings, WriteKeys
from milonga.workspace.secrets import KeyProvider
from milonga.workspace.settings import UNSET
from milonga.workspace.store import Workspace
from tests.workspace.paper import KINDS, PAPER, Clock, Settings, open_paper

on, off, paused = DestinationState.on, DestinationState.off, DestinationState.paused


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    opened = open_paper(tmp_path / "data")
    opened.sources.add("web", "key-of-web")
    return opened


def paper_of(workspace: Workspace, **settings: object) -> int:
    return workspace.add_destination("paper", "web", "paper", settings, on, {0: 7}).id


def states(workspace: Workspace, name: str = "paper") -> list[str]:
    return [f"{change.state} by {change.by}" for change in workspace.destination(name).changes]


# -- sources


def test_a_source_gets_a_random_write_key_of_32_letters_and_digits(workspace: Workspace) -> None:
    one, two = workspace.sources.add("one"), workspace.sources.add("two")
    assert [len(key) for key in (*one.write_keys, *two.write_keys)] == [32, 32]
    assert one.write_keys[0].isalnum()
    assert one.write_keys != two.write_keys
    assert [source.name for source in workspace.sources.all()] == ["web", "one", "two"]


def test_a_write_key_finds_its_source_and_a_wrong_one_none(workspace: Workspace) -> None:
    assert workspace.sources.of_key("key-of-web") == workspace.sources.all()[0]
    for wrong in ("key-of-we", "key-of-web ", "", "clé", "\ud800"):
        assert workspace.sources.of_key(wrong) is None
        assert WriteKeys(workspace.sources.all()).source(wrong) is None


def test_a_source_added_or_removed_is_found_or_not_at_once(workspace: Workspace) -> None:
    assert workspace.sources.of_key("demo") is None
    workspace.sources.add("demo", "demo")
    found = workspace.sources.of_key("demo")
    assert found is not None
    assert found.name == "demo"
    workspace.sources.remove("demo")
    assert workspace.sources.of_key("demo") is None


@pytest.mark.parametrize("key", ["", " ", "a b", "a:b", "ключ", "tab\t", "x" * 101, "new\nline"])
def test_a_write_key_no_sdk_could_send_is_refused(workspace: Workspace, key: str) -> None:
    with pytest.raises(UserError, match="no space and no colon"):
        workspace.sources.add("other", key)
    assert len(workspace.sources.all()) == 1


def test_a_write_key_belongs_to_one_source_only_and_the_refusal_does_not_repeat_it(workspace: Workspace) -> None:
    with pytest.raises(UserError, match="belongs to another source") as refused:
        workspace.sources.add("other", "key-of-web")
    assert "key-of-web" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a/b", "a\n"])
def test_names_are_letters_digits_and_three_signs(workspace: Workspace, name: str) -> None:
    with pytest.raises(UserError, match="1 to 64 characters"):
        workspace.sources.add(name)
    with pytest.raises(UserError, match="1 to 64 characters"):
        workspace.add_destination("paper", "web", name, {}, on, {0: 0})


def test_a_name_is_taken_once_and_free_again_after_removal_with_another_id(workspace: Workspace) -> None:
    first = workspace.sources.all()[0].id
    with pytest.raises(UserError, match="already"):
        workspace.sources.add("web")
    workspace.sources.remove("web")
    again = workspace.sources.add("web", "key-of-web")
    assert again.id > first
    assert workspace.sources.names() == {first: "web", again.id: "web"}


def test_a_source_with_destinations_is_not_removed_and_the_refusal_lists_what_to_do(workspace: Workspace) -> None:
    paper_of(workspace)
    with pytest.raises(UserError, match="milonga destinations remove paper"):
        workspace.sources.remove("web")
    workspace.remove_destination("paper", {0: 9})
    workspace.sources.remove("web")
    assert workspace.sources.all() == ()


# -- destinations and their settings


def test_a_destination_begins_on_at_the_end_of_the_log_with_typed_settings(workspace: Workspace) -> None:
    added = workspace.add_destination(
        "paper", "web", "paper", {"postTo": "https://x.example/y", "copies": "3", "colour": "yes"}, on, {0: 7}
    )
    assert added == workspace.destination("paper") == workspace.destination(added.id)
    assert added.settings == Settings(post_to="https://x.example/y", copies=3, colour=True)
    assert added.settings_version == 1
    assert [(change.state, change.end, change.by) for change in added.changes] == [(on, {0: 7}, "cli")]


def test_a_destination_can_be_added_switched_off(workspace: Workspace) -> None:
    added = workspace.add_destination("paper", "web", "later", {}, off, {0: 0})
    assert added.state is off


def test_what_does_not_exist_is_named_with_where_to_look(workspace: Workspace) -> None:
    with pytest.raises(UserError, match="Kinds: paper"):
        workspace.add_destination("stone", "web", "x", {}, on, {0: 0})
    with pytest.raises(UserError, match=r"no source called nowhere.*milonga sources add nowhere"):
        workspace.add_destination("paper", "nowhere", "x", {}, on, {0: 0})
    for asked in ("nobody", 99):
        with pytest.raises(UserError, match="milonga destinations list"):
            workspace.destination(asked)
        with pytest.raises(UserError, match="milonga destinations list"):
            workspace.change_state(asked, on, "cli", "", {})
    assert workspace.destinations() == ()


def test_each_change_of_settings_makes_a_version_and_the_earlier_ones_stay_readable(workspace: Workspace) -> None:
    number = paper_of(workspace, copies=2)
    assert workspace.set_settings("paper", {"copies": "4", "note": "hello"}).settings_version == 2
    assert workspace.set_settings("paper", {"copies": UNSET}).settings_version == 3
    assert workspace.settings_at(number, 1) == Settings(copies=2)
    assert workspace.settings_at(number, 2) == Settings(copies=4, note="hello")
    assert workspace.settings_at(number, 3) == workspace.destination(number).settings == Settings(note="hello")
    with pytest.raises(KeyError):
        workspace.settings_at(number, 4)
    versions = [entry for entry in workspace.history("paper") if isinstance(entry, SettingsVersion)]
    assert [(entry.version, entry.changed) for entry in versions] == [
        (1, ("copies",)),
        (2, ("copies", "note")),
        (3, ("copies",)),
    ]


def test_setting_what_is_set_already_makes_no_version(workspace: Workspace) -> None:
    paper_of(workspace, copies=2, token="hush")
    assert workspace.set_settings("paper", {"copies": "2", "token": "hush"}).settings_version == 1


def test_a_refused_change_changes_nothing(workspace: Workspace) -> None:
    paper_of(workspace, copies=2)
    before = workspace.destination("paper")
    for changes in ({"copies": "10"}, {"copies": "3", "kopies": "3"}, {"size": "A5", "copies": "3"}):
        with pytest.raises(UserError):
            workspace.set_settings("paper", changes)
    assert workspace.destination("paper") == before


# -- states


def test_all_ways_between_the_three_states_are_open_to_a_person(workspace: Workspace) -> None:
    paper_of(workspace)
    for step in (off, on, paused, off, paused, on):
        assert workspace.change_state("paper", step, "cli", "because", {0: 9})
        now = workspace.destination("paper").changes[-1]
        assert (now.state, now.reason, now.end) == (step, "because", {0: 9})
        assert not workspace.change_state("paper", step, "cli", "again", {0: 10})
    assert len(workspace.destination("paper").changes) == 7


def test_changing_settings_resumes_what_the_pipeline_paused_because_of_them(workspace: Workspace) -> None:
    paper_of(workspace)
    workspace.change_state("paper", paused, "settings", "three answers were 401", {})
    after = workspace.set_settings("paper", {"token": "right"})
    assert (after.state, after.settings_version) == (on, 2)
    assert states(workspace) == ["on by cli", "paused by settings", "on by cli"]


def test_giving_the_same_settings_again_also_resumes_what_the_pipeline_paused(workspace: Workspace) -> None:
    paper_of(workspace, token="right")
    workspace.change_state("paper", paused, "settings", "three answers were 401", {})
    after = workspace.set_settings("paper", {"token": "right"})
    assert (after.state, after.settings_version) == (on, 1)


def test_changing_settings_leaves_a_pause_by_hand_and_an_off_alone(workspace: Workspace) -> None:
    paper_of(workspace)
    for step in (paused, off):
        workspace.change_state("paper", step, "cli", "", {})
        assert workspace.set_settings("paper", {"note": step.value}).state is step


def test_the_pipeline_never_undoes_what_a_person_did_meanwhile(workspace: Workspace) -> None:
    paper_of(workspace)
    workspace.change_state("paper", off, "cli", "", {})
    assert not workspace.change_state("paper", paused, "settings", "401", {})
    assert not workspace.change_state("paper", on, "probe", "it answers again", {})
    workspace.change_state("paper", paused, "cli", "", {})
    assert not workspace.change_state("paper", on, "probe", "it answers again", {})
    assert states(workspace) == ["on by cli", "off by cli", "paused by cli"]


def test_the_pipeline_resumes_what_it_paused_unless_a_person_paused_it_too(workspace: Workspace) -> None:
    paper_of(workspace)
    workspace.change_state("paper", paused, "settings", "401", {})
    assert workspace.change_state("paper", on, "probe", "it answers again", {})
    workspace.change_state("paper", paused, "settings", "401", {})
    assert workspace.change_state("paper", paused, "cli", "leave it", {})
    assert not workspace.change_state("paper", on, "probe", "it answers again", {})
    assert workspace.set_settings("paper", {"note": "x"}).state is paused


def test_a_judgement_of_earlier_settings_comes_too_late(workspace: Workspace) -> None:
    paper_of(workspace)
    workspace.set_settings("paper", {"token": "right"})
    assert not workspace.change_state("paper", paused, "settings", "401", {}, if_settings_version=1)
    assert workspace.change_state("paper", paused, "settings", "401", {}, if_settings_version=2)


def test_history_tells_settings_and_states_in_the_order_they_happened(workspace: Workspace) -> None:
    paper_of(workspace)
    workspace.change_state("paper", off, "cli", "", {})
    workspace.set_settings("paper", {"copies": 2}, by="console")
    workspace.change_state("paper", on, "cli", "", {})
    told = [
        entry.state.value if isinstance(entry, StateChange) else f"version {entry.version} by {entry.by}"
        for entry in workspace.history("paper")
    ]
    assert told == ["version 1 by cli", "on", "off", "version 2 by console", "on"]


def test_a_destination_that_flaps_for_ever_keeps_a_bounded_history_and_every_off(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milonga.workspace.states.MOST_CHANGES", 20)
    paper_of(workspace)
    workspace.change_state("paper", off, "cli", "", {0: 50})
    workspace.change_state("paper", on, "cli", "", {0: 60})
    for turn in range(40):
        workspace.change_state("paper", paused, "settings", f"pause {turn}", {})
        workspace.change_state("paper", on, "probe", "", {})
    changes = workspace.destination("paper").changes
    assert len(changes) <= 20
    assert [(change.state, change.end) for change in changes[:3]] == [(on, {0: 7}), (off, {0: 50}), (on, {0: 60})]
    assert changes[-2].reason == "pause 39"
    assert all(a.state is not b.state for a, b in pairwise(changes))


# -- removal


def test_a_removed_destination_stays_readable_switched_off_and_without_its_secrets(workspace: Workspace) -> None:
    number = paper_of(workspace, token="hush", copies=2)
    workspace.remove_destination("paper", {0: 12})
    assert workspace.destinations() == ()
    (former,) = workspace.former_destinations()
    assert (former.id, former.name, former.kind, former.source) == (number, "paper", "paper", 1)
    assert (former.changes[-1].state, former.changes[-1].end) == (off, {0: 12})
    assert workspace.settings_at(number, 1) == Settings(token="***", copies=2)
    again = workspace.add_destination("paper", "web", "paper", {}, on, {0: 12})
    assert again.id > number
    assert again.settings == Settings()


# -- files


def test_the_data_directory_and_its_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    with open_paper(data) as workspace:
        workspace.sources.add("web")
        paper_of(workspace, token="hush")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert modes == {"workspace.db": 0o600, "workspace.db-wal": 0o600, "workspace.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "deep" / "data.key").stat().st_mode) == 0o600


def test_a_data_path_that_is_a_file_or_a_foreign_database_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("hello")
    with pytest.raises(UserError, match="is a file, not a directory"):
        open_paper(file)
    data = tmp_path / "data"
    data.mkdir()
    (data / "workspace.db").write_bytes(b"not a database at all, but long enough to be looked at" * 50)
    with pytest.raises(UserError, match="no Milonga workspace"):
        open_paper(data)


def test_a_destination_of_a_kind_that_is_gone_shows_as_paused_and_the_others_as_ever(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data") as workspace:
        workspace.sources.add("web")
        known = workspace.add_destination("paper", "web", "known", {"postTo": "https://paper.example"}, on, {})
        odd = {**KINDS, "parchment": msgspec.structs.replace(PAPER, kind="parchment")}
        with Workspace.open(tmp_path / "data", KeyProvider(tmp_path / "data", {}), odd, Clock()) as other:
            given = {"postTo": "https://paper.example", "token": "s3cret"}
            number = other.add_destination("parchment", "web", "odd", given, on, {0: 7}).id
            other.add_destination("parchment", "web", "off", given, off, {})
            stored = other.destination(number)
        assert workspace.destination("known") == known
        found = workspace.destination("odd")
        assert (found.kind, found.settings) == ("parchment", UnknownSettings())
        assert (found.state, found.changes[-1].by, found.changes[-1].end) == (paused, "workspace", {0: 7})
        assert "parchment" in found.changes[-1].reason
        assert "Kinds: paper" in found.changes[-1].reason
        assert found.changes[:-1] == stored.changes, "the pause is not stored"
        assert workspace.destination("off").state is off
        assert workspace.settings_at(number, 1) == UnknownSettings()
        with pytest.raises(UserError, match="parchment"):
            workspace.set_settings("odd", {"size": "A5"})
        workspace.change_state("odd", off, "cli", "", {})
        assert workspace.destination("odd").state is off
        workspace.remove_destination("odd", {})
        assert {one.name for one in workspace.destinations()} == {"known", "off"}
