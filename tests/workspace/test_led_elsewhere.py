"""Whoever may change where a destination sends to does not learn its secrets by that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState
from milonga.workspace.settings import UNSET
from milonga.workspace.store import Workspace

HOOK = {"url": "https://hooks.example.com/a", "authorization": "Bearer s3cret"}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "data") as opened:
        opened.sources.add("web", "key")
        opened.add_destination("webhook", "web", "hook", HOOK, DestinationState.on, {0: 0})
        yield opened


@pytest.mark.parametrize("by", ["user:ada", "token:ci"])
def test_secrets_are_asked_for_again_when_another_host_is_named(workspace: Workspace, by: str) -> None:
    with pytest.raises(UserError, match="elsewhere than before, and Authorization with it"):
        workspace.set_settings("hook", {"url": "https://evil.example/a"}, by=by)
    assert workspace.destination("hook").settings_version == 1
    after = workspace.set_settings("hook", {"url": "https://evil.example/a", "authorization": "Bearer other"}, by=by)
    assert after.settings_version == 2


def test_who_empties_them_or_stays_at_the_host_is_not_asked(workspace: Workspace) -> None:
    workspace.set_settings("hook", {"url": "https://hooks.example.com/b"}, by="user:ada")
    workspace.set_settings("hook", {"url": "https://new.example/b", "authorization": UNSET}, by="user:ada")
    assert workspace.destination("hook").settings_version == 3


@pytest.mark.parametrize("url", ["https://hooks.example.com:8443/a", "http://hooks.example.com/a"])
def test_another_port_or_no_tls_is_elsewhere(workspace: Workspace, url: str) -> None:
    with pytest.raises(UserError, match="elsewhere than before"):
        workspace.set_settings("hook", {"url": url}, by="user:ada")


def test_the_command_line_of_the_server_reads_them_anyway(workspace: Workspace) -> None:
    assert workspace.set_settings("hook", {"url": "https://new.example/a"}).settings_version == 2
