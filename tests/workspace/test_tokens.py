"""Tokens of programs that use the API, in a real workspace.db."""

import pytest

from milonga.workspace import tokens
from milonga.workspace.errors import Clash, NotThere, UserError
from milonga.workspace.store import Workspace
from tests.clocks import Still
from tests.workspace.people import EDITOR, VIEWER

DAY = 86_400_000


def test_a_token_lets_its_program_in_until_it_is_revoked(workspace: Workspace) -> None:
    token, shows = workspace.tokens.create("ci", EDITOR)
    assert shows.startswith(tokens.PREFIX)
    assert shows.startswith(token.begins)
    assert len(token.begins) < 10
    found = workspace.tokens.find(shows)
    assert found is not None
    assert (found.name, found.role, found.by, found.ends_at) == ("ci", EDITOR, "token:ci", None)
    workspace.tokens.revoke("CI")
    assert workspace.tokens.find(shows) is None
    with pytest.raises(NotThere):
        workspace.tokens.revoke("ci")


@pytest.mark.parametrize("shows", ["", "mlg_", "mlg_" + "x" * 43, "x" * 1_000_000, "mlg_é" + "x" * 42, "\ud800"])
def test_what_is_no_token_lets_nobody_in(workspace: Workspace, shows: str) -> None:
    workspace.tokens.create("ci", EDITOR)
    assert workspace.tokens.find(shows) is None


def test_a_token_ends_with_its_last_day(workspace: Workspace, now: Still[int]) -> None:
    _, shows = workspace.tokens.create("ci", VIEWER, days=7)
    now.at += 7 * DAY - 1
    assert workspace.tokens.find(shows) is not None
    now.at += 1
    assert workspace.tokens.find(shows) is None
    assert [one.name for one in workspace.tokens.all()] == ["ci"]
    for days in (0, -1, tokens.LONGEST_LIFE + 1):
        with pytest.raises(UserError, match="lasts 1 to"):
            workspace.tokens.create("other", VIEWER, days=days)


def test_a_token_tells_when_it_was_last_used_and_writes_that_but_now_and_then(
    workspace: Workspace, now: Still[int]
) -> None:
    _, shows = workspace.tokens.create("ci", VIEWER)
    assert workspace.tokens.all()[0].used_at is None
    workspace.tokens.find(shows)
    first = workspace.tokens.all()[0].used_at
    assert first == now.at
    token = workspace.token()
    now.at += tokens.TOUCHED - 1
    workspace.tokens.find(shows)
    assert not workspace.changed_since(token)
    now.at += 1
    workspace.tokens.find(shows)
    assert workspace.tokens.all()[0].used_at == now.at


def test_tokens_are_bounded_and_their_names_unique(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 1)
    workspace.tokens.create("ci", VIEWER)
    with pytest.raises(Clash, match="already"):
        workspace.tokens.create("CI", VIEWER)
    with pytest.raises(Clash, match="no more can be"):
        workspace.tokens.create("other", VIEWER)
    with pytest.raises(UserError, match="1 to 64"):
        workspace.tokens.create("no good", VIEWER)
