"""A setting that stands for this Milonga is made when the first destination of its kind is added."""

import re
from pathlib import Path

import pytest

from milonga.destinations.registry import kind
from milonga.destinations.segment.settings import Settings
from milonga.workspace.model import DestinationState
from milonga.workspace.settings import UNSET
from milonga.workspace.store import Workspace


def added(workspace: Workspace, name: str, **settings: object) -> str:
    config = workspace.add_destination("segment", "web", name, settings, DestinationState.off, {})
    assert isinstance(config.settings, Settings)
    return config.settings.instance


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.open(tmp_path, kinds={"segment": kind("segment")})
    workspace.sources.add("web")
    return workspace


def test_all_destinations_of_a_kind_share_it_and_no_other_milonga_does(workspace: Workspace, tmp_path: Path) -> None:
    first = added(workspace, "one")
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert added(workspace, "two") == first
    with workspace, Workspace.open(tmp_path / "other", kinds={"segment": kind("segment")}) as other:
        other.sources.add("web")
        assert added(other, "one") != first


def test_whoever_gives_it_decides_and_other_settings_leave_it_alone(workspace: Workspace) -> None:
    with workspace:
        assert added(workspace, "one", instance="mine") == "mine"
        after = workspace.set_settings("one", {"forwardAll": True})
        assert isinstance(after.settings, Settings)
        assert after.settings.instance == "mine"
        after = workspace.set_settings("one", {"instance": UNSET})
        assert isinstance(after.settings, Settings)
        assert after.settings.instance == ""
