"""What is set about the delivery to a destination, beside the settings of its kind."""

from pathlib import Path

import pytest

from milonga.destinations.registry import kinds
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.errors import UserError
from milonga.workspace.fields import fields_of
from milonga.workspace.model import DestinationState, SettingsVersion
from milonga.workspace.settings import UNSET
from milonga.workspace.store import Workspace
from tests.workspace.paper import Settings, open_paper

SHARED = {name for field in fields_of(DeliverySettings) for name in (field.name, field.attribute)}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    opened = open_paper(tmp_path / "data")
    opened.sources.add("web", "key-of-web")
    return opened


def add(workspace: Workspace, **settings: object) -> int:
    return workspace.add_destination("paper", "web", "paper", settings, DestinationState.on, {0: 7}).id


def store(workspace: Workspace, text: str) -> None:
    """As a later or a broken Milonga might leave it."""
    with workspace._database.write() as db:
        db.execute("UPDATE settings SET delivery = ?", (text,))


@pytest.mark.parametrize("kind", kinds())
def test_no_kind_has_a_setting_of_the_same_name(kind: str) -> None:
    own = {name for field in fields_of(kinds()[kind].settings) for name in (field.name, field.attribute)}
    assert not own & SHARED


def test_every_setting_says_what_it_is() -> None:
    for field in fields_of(DeliverySettings):
        assert field.label != field.name
        assert field.help.endswith(".")


def test_they_are_set_beside_the_kinds_own_and_share_its_versions(workspace: Workspace) -> None:
    number = add(workspace, copies=2, concurrency="8")
    assert workspace.destination(number).delivery == DeliverySettings(concurrency=8)
    after = workspace.set_settings("paper", {"rateLimit": "0.5", "note": "x", "max_age": 3600})
    assert (after.settings_version, after.settings) == (2, Settings(copies=2, note="x"))
    assert after.delivery == DeliverySettings(concurrency=8, rate_limit=0.5, max_age=3600)
    assert workspace.set_settings("paper", {"concurrency": UNSET}).delivery.concurrency == 64
    assert workspace.set_settings("paper", {"note": "y"}).delivery == workspace.delivery_settings_at(number, 3)
    assert workspace.delivery_settings_at(number, 1) == DeliverySettings(concurrency=8)
    with pytest.raises(KeyError):
        workspace.delivery_settings_at(number, 5)
    changed = [entry.changed for entry in workspace.history(number) if isinstance(entry, SettingsVersion)]
    assert changed == [("copies", "concurrency"), ("note", "rateLimit", "maxAge"), ("concurrency",), ("note",)]


def test_the_same_again_makes_no_version(workspace: Workspace) -> None:
    add(workspace, concurrency=8)
    assert workspace.set_settings("paper", {"concurrency": "8", "rateLimit": "0"}).settings_version == 1


@pytest.mark.parametrize(
    ("name", "typed", "told"),
    [
        ("concurrency", "0", "concurrency (Requests at once) must be a whole number of at least 1, not '0'."),
        ("concurrency", "1001", "a whole number of at most 1,000, not '1001'."),
        ("concurrency", "many", "a whole number"),
        ("rateLimit", "-1", "a number of at least 0, not '-1'."),
        ("rateLimit", "nan", "rateLimit"),
        ("rateLimit", "1e-320", "0.001 requests a second are the least; 0 sets no limit"),
        ("rateLimit", "inf", "rateLimit"),
        ("timeout", "0", "a number of at least 0.1"),
        ("maxAge", "604801", "of at most 604,800"),
        ("retryWindow", "1.5", "a whole number"),
        (
            "concurency",
            "8",
            "Paper has no setting called concurency. Did you mean concurrency? It has:\n  postTo  Post to",
        ),
        ("concurency", "8", "And as every destination:\n  concurrency  Requests at once"),
    ],
)
def test_what_is_not_possible_is_refused_in_words(workspace: Workspace, name: str, typed: str, told: str) -> None:
    add(workspace)
    with pytest.raises(UserError) as refused:
        workspace.set_settings("paper", {name: typed})
    assert told in str(refused.value)
    assert workspace.destination("paper").settings_version == 1


def test_what_is_stored_and_no_longer_possible_pauses_until_it_is_given_anew(workspace: Workspace) -> None:
    add(workspace)
    store(workspace, '{"concurrency": 5000, "rateLimit": 2.0, "ofLater": 1}')
    config = workspace.destination("paper")
    assert (config.state, config.changes[-1].by) == (DestinationState.paused, "workspace")
    assert "what is stored for concurrency is no longer a possible value" in config.changes[-1].reason
    assert config.delivery == DeliverySettings(rate_limit=2.0)
    assert workspace.set_settings("paper", {"note": "x"}).state is DestinationState.paused
    with pytest.raises(UserError, match=r"Say it as well, by concurrency=.*--unset concurrency"):
        workspace.set_settings("paper", {"rateLimit": 3})
    after = workspace.set_settings("paper", {"concurrency": UNSET})
    assert (after.state, after.settings_version) == (DestinationState.on, 3)
    assert after.delivery == DeliverySettings(rate_limit=2.0)


def test_damaged_ones_pause_too(workspace: Workspace) -> None:
    add(workspace)
    store(workspace, '{"concurrency": 8, ')
    config = workspace.destination("paper")
    assert "its stored delivery settings are damaged" in config.changes[-1].reason
    assert workspace.set_settings("paper", {"concurrency": 8}).state is DestinationState.on
