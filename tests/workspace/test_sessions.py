"""Sessions of people who are logged in, in a real workspace.db."""

from pathlib import Path

import apsw
import pytest

from milonga.workspace import sessions
from milonga.workspace.errors import Clash
from milonga.workspace.people import Session
from milonga.workspace.store import Workspace
from tests.clocks import Still
from tests.workspace.people import OTHER, VIEWER, WORD, let_in, signed_in

HOUR = 3_600_000


def found(workspace: Workspace, secret: str) -> Session:
    session = workspace.sessions.find(secret)
    assert session is not None
    return session


def test_a_session_is_its_owners_until_signed_out(workspace: Workspace) -> None:
    ada = let_in(workspace)
    first, second = signed_in(workspace, ada), signed_in(workspace, ada, agent="x" * 5_000)
    assert len(first) >= 43  # 256 bits
    assert first != second
    assert (found(workspace, first).user, found(workspace, first).address) == (ada, "192.0.2.1")
    assert len(found(workspace, second).agent) == sessions.LONGEST_AGENT
    workspace.sessions.end(first)
    assert workspace.sessions.find(first) is None
    assert workspace.sessions.find(second) is not None
    assert workspace.sessions.find("") is None
    assert workspace.sessions.find("\ud800") is None


def test_a_session_ends_twelve_hours_after_the_last_request(workspace: Workspace, now: Still[int]) -> None:
    secret = signed_in(workspace, let_in(workspace))
    for _ in range(3):
        now.at += 11 * HOUR
        assert workspace.sessions.find(secret) is not None
    now.at += 12 * HOUR
    assert workspace.sessions.find(secret) is None


def test_a_look_at_a_session_keeps_it_no_longer(workspace: Workspace, now: Still[int]) -> None:
    secret = signed_in(workspace, let_in(workspace))
    now.at += 11 * HOUR
    assert workspace.sessions.find(secret, touch=False) is not None
    now.at += HOUR
    assert workspace.sessions.find(secret) is None


def test_a_session_ends_after_fourteen_days_however_busy(workspace: Workspace, now: Still[int]) -> None:
    secret = signed_in(workspace, let_in(workspace))
    for _ in range(14 * 4 - 1):
        now.at += 6 * HOUR
        assert workspace.sessions.find(secret) is not None
    now.at += 6 * HOUR
    assert workspace.sessions.find(secret) is None


def test_requests_of_a_session_write_but_now_and_then(workspace: Workspace, now: Still[int]) -> None:
    secret = signed_in(workspace, let_in(workspace))
    token = workspace.token()
    now.at += sessions.TOUCHED - 1
    workspace.sessions.find(secret)
    assert not workspace.changed_since(token)
    now.at += 1
    workspace.sessions.find(secret)
    assert workspace.changed_since(token)


def test_of_too_many_sessions_of_a_user_the_one_unused_the_longest_goes(workspace: Workspace, now: Still[int]) -> None:
    ada = let_in(workspace)
    let_in(workspace, "grace", VIEWER)
    others = signed_in(workspace, workspace.users.named("grace"))
    secrets = []
    for _ in range(sessions.MOST + 1):
        now.at += 1
        secrets.append(signed_in(workspace, ada))
    assert workspace.sessions.find(secrets[0]) is None
    assert all(workspace.sessions.find(one) for one in (*secrets[1:], others))
    assert len(workspace.sessions.of(ada)) == sessions.MOST


def test_sessions_that_are_over_do_not_stay_in_the_file(workspace: Workspace, now: Still[int], tmp_path: Path) -> None:
    ada = let_in(workspace)
    for _ in range(3):
        signed_in(workspace, ada)
    now.at += 13 * HOUR
    signed_in(workspace, ada)
    with apsw.Connection(str(tmp_path / "data" / "workspace.db")) as db:
        assert db.execute("SELECT count(*) FROM console_session").get == 1
    db.close()


def test_a_user_ends_own_sessions_and_nobody_elses(workspace: Workspace) -> None:
    ada, grace = let_in(workspace), let_in(workspace, "grace", VIEWER)
    mine, other, hers = signed_in(workspace, ada), signed_in(workspace, ada), signed_in(workspace, grace)
    workspace.sessions.end_one(ada, found(workspace, hers).id)
    assert workspace.sessions.find(hers) is not None
    workspace.sessions.end_one(ada, found(workspace, other).id)
    assert workspace.sessions.find(other) is None
    third = signed_in(workspace, ada)
    assert workspace.sessions.end_others(ada, mine) == 1
    assert [workspace.sessions.find(one) is None for one in (mine, third, hers)] == [False, True, False]


def test_no_session_begins_with_a_password_that_was_changed_meanwhile(workspace: Workspace) -> None:
    ada = let_in(workspace)
    workspace.users.change_password(ada, WORD, OTHER)
    with pytest.raises(Clash, match="Log in again"):
        signed_in(workspace, ada, WORD)
