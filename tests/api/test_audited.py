"""What the audit log tells of the API besides changes: refused tokens, and events that were exported or read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from milonga.workspace import gathering
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.api.conftest import fill
from tests.api.serving import Served, problem, served
from tests.running import eventually


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that nobody else asks: what it tells of is ours."""
    data = tmp_path_factory.mktemp("audited") / "data"
    fill(data)
    with pytest.MonkeyPatch.context() as patch, served(data) as found:
        patch.setattr(gathering, "EVERY", 0.05)
        yield found


def told(data: Path, what: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(by, name, what was counted), the oldest first; each from here"""
    with Workspace.open(data) as workspace:
        rows = list(reversed(workspace.audit.page(100, what=what)))
    assert {one.changes["address"][1] for one in rows} <= {"127.0.0.1"}
    return [(one.by, one.name, {f: both[1] for f, both in one.changes.items() if f != "address"}) for one in rows]


def with_token(mine: Served, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    return problem(mine.ask("GET", "/sources", role=None, headers=headers), 401, "unknown_token")


def test_tokens_that_let_nobody_in_are_told_without_the_token(mine: Served) -> None:
    with Workspace.open(mine.data) as workspace:
        _, revoked = workspace.tokens.create("revoked", Role.viewer)
        workspace.tokens.revoke("revoked")
        _, over = workspace.tokens.create("over", Role.viewer, days=1)
        with workspace._database.write() as db:
            db.execute("UPDATE api_token SET ends_at = 1 WHERE name = 'over'")
    wrong = f"mlg_{'x' * 43}"
    for token in (wrong, revoked, over, over, "a-password", wrong[:-1]):
        with_token(mine, token)
    problem(mine.ask("GET", "/sources", role=None), 401, "no_token")
    rows = [("stranger", "", {"attempts": 4}), ("stranger", "over", {"attempts": 2})]
    eventually(lambda: sorted(told(mine.data, "token.refused"), key=str) == rows, "all are gathered")
    with Workspace.open(mine.data) as workspace:
        everything = str(workspace.audit.page(1_000))
    assert not [token for token in (wrong, revoked, over, "a-password") if token in everything]


def test_events_that_are_read_are_told_and_what_holds_none_is_not(mine: Served) -> None:
    token = "token:test-viewer"
    for path in (
        *("/dead-letters", "/dead-letters?events=true", "/dead-letters?events=true&destination=totango"),
        *("/parked-events?destination=totango&events=true", "/parked-events?destination=totango"),
        *("/events?count=7", "/events?account=nobody", "/events/0-3", "/sources", "/events/volume?startTime=1h"),
    ):
        assert mine.ask("GET", path, role=Role.viewer).status == 200, path
    assert mine.ask("GET", "/events/0-999999", role=Role.viewer).status == 404
    rows = [("", {"events": 2}), ("", {"events": 8}), ("totango", {"events": 2})]
    eventually(
        lambda: sorted(told(mine.data, "export"), key=str) == [(token, *one) for one in rows], "all are gathered"
    )
    assert told(mine.data, "export.events") == [(token, "", {"events": 8})]
