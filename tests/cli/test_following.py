"""The workspace as a running collector sees it."""

from pathlib import Path

import pytest

from milonga.cli.following import Followed
from milonga.workspace.store import Workspace
from tests.clocks import Still
from tests.workspace.paper import open_paper


@pytest.fixture
def clock() -> Still[int]:
    return Still(1_700_000_000_000)


@pytest.fixture
def workspace(tmp_path: Path, clock: Still[int]) -> Workspace:
    workspace = open_paper(tmp_path / "data", now=clock)
    workspace.sources.add("web", "old-key")
    return workspace


def test_a_write_key_ends_by_the_clock_though_the_workspace_cannot_be_read(
    workspace: Workspace, clock: Still[int]
) -> None:
    with workspace:
        workspace.write_keys.rotate("web", "new-key", overlap=5_000)
        followed = Followed(workspace, clock)
        clock.at += 4_999
        followed.end_keys()
        assert followed.source_of("old-key") is not None
        before = followed.sources
    clock.at += 1
    followed.end_keys()
    assert followed.sources is not before
    assert followed.ended("old-key") == followed.sources[0]
    assert followed.sources[0].write_keys == ("new-key",)


def test_nothing_is_made_anew_while_no_key_ends(workspace: Workspace, clock: Still[int]) -> None:
    with workspace:
        workspace.write_keys.rotate("web", overlap=5_000)
        followed = Followed(workspace, clock)
        before = followed.sources
        followed.end_keys()
        assert followed.sources is before


def test_no_use_is_lost_when_the_workspace_is_read_again(workspace: Workspace, clock: Still[int]) -> None:
    with workspace:
        followed = Followed(workspace, clock)
        followed.source_of("old-key")
        workspace.write_keys.add("web", "new-key")
        followed.source_of("new-key")
        assert followed.take_used() == {"old-key", "new-key"}
        assert followed.take_used() == set()
