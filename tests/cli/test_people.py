"""`milonga users`, `milonga tokens` and `milonga audit`, and what a backup brings back of people."""

from pathlib import Path
from typing import Any

import pytest

from milonga.workspace.errors import UserError
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.cli.filled import run
from tests.commands import asked, milonga

WORD = "$argon2id$of-a-password"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def said(data: Path, *words: str) -> str:
    done = milonga(*words, "--data", str(data))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(data: Path, *words: str) -> str:
    done = milonga(*words, "--data", str(data))
    assert done.returncode == 1, done.stdout
    assert not done.stdout
    return done.stderr


def told(data: Path, *words: str) -> Any:
    return asked(*words, "--data", str(data))


def choose_password(data: Path, link: str) -> None:
    with Workspace.open(data) as workspace:
        workspace.users.use_link(link.rpartition("/")[2], WORD)


def test_a_user_is_added_by_a_link_that_sets_the_password(data: Path) -> None:
    text = said(data, "users", "add", "ada@example.com", "--role", "administrator")
    assert "Added ada@example.com as administrator.\n  http://127.0.0.1:8081/setup/" in text
    assert [one["state"] for one in told(data, "users", "list")] == ["invited"]
    choose_password(data, text.split()[-1])
    (row,) = told(data, "users", "list")
    assert (row["name"], row["role"], row["state"]) == ("ada@example.com", "administrator", "active")
    link = told(data, "users", "reset", "ada@example.com", "--console-url", "https://milonga.example/")["link"]
    assert link.startswith("https://milonga.example/setup/")
    assert "//setup" not in link


def test_no_command_takes_a_password(data: Path) -> None:
    for words in (("users", "add", "ada", "--password", "x"), ("users", "reset", "ada", "x")):
        assert milonga(*words, "--data", str(data)).returncode == 2


def test_roles_and_states_are_changed_and_the_last_administrator_stays(data: Path) -> None:
    choose_password(data, told(data, "users", "add", "ada", "--role", "administrator")["link"])
    said(data, "users", "add", "grace")
    assert said(data, "users", "role", "grace", "editor") == "grace is editor.\n"
    said(data, "users", "disable", "grace")
    assert [(one["name"], one["role"], one["state"]) for one in told(data, "users", "list")] == [
        ("ada", "administrator", "active"),
        ("grace", "editor", "disabled"),
    ]
    said(data, "users", "enable", "grace")
    assert "only administrator" in refused(data, "users", "remove", "ada", "--yes")
    assert "--yes" in refused(data, "users", "remove", "grace")
    said(data, "users", "remove", "grace", "--yes")
    assert [one["name"] for one in told(data, "users", "list")] == ["ada"]
    assert milonga("users", "role", "ada", "king", "--data", str(data)).returncode == 2


def test_a_token_is_printed_once_and_nothing_else_is_on_stdout(data: Path) -> None:
    shows = said(data, "tokens", "create", "ci", "--role", "editor", "--days", "30").strip()
    with Workspace.open(data) as workspace:
        found = workspace.tokens.find(shows)
        assert found is not None
        assert found.role is Role.editor
    (row,) = told(data, "tokens", "list")
    assert (row["name"], row["role"], row["begins"], row["createdBy"]) == ("ci", "editor", shows[:8], "cli")
    assert shows not in said(data, "tokens", "list")
    said(data, "tokens", "revoke", "ci", "--yes")
    assert "no token called ci" in refused(data, "tokens", "revoke", "ci", "--yes")


def test_the_audit_log_tells_who_changed_what_from_which_value_to_which(data: Path) -> None:
    said(data, "sources", "add", "web", "--write-key", "a-long-write-key")
    said(data, "sources", "set", "web", "rateLimit=50")
    said(data, "tokens", "create", "ci")
    rows = told(data, "audit")
    assert [(row["by"], row["what"], row["name"]) for row in rows] == [
        ("cli", "token.created", "ci"),
        ("cli", "source.settings", "web"),
        ("cli", "source.added", "web"),
    ]
    assert rows[1]["changes"] == {"rateLimit": {"before": 0, "after": 50}}
    text = said(data, "audit", "--what", "source")
    assert "rateLimit: 0 → 50" in text
    assert "writeKey: a-lo…" in text
    assert "a-long-write-key" not in text
    assert "token" not in text
    assert said(data, "audit", "--by", "user:ada") == "Nothing like that was changed.\n"
    assert len(told(data, "audit", "--limit", "1")) == 1


@pytest.mark.parametrize("words", [("users", "list"), ("tokens", "list"), ("audit",)])
def test_where_there_is_no_workspace_yet_there_is_nothing_to_list(data: Path, words: tuple[str, ...]) -> None:
    assert told(data, *words) == []
    assert not data.exists()


@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_a_backup_brings_users_and_tokens_back_and_lets_nobody_in_by_what_was_open_then(
    data: Path, tmp_path: Path, name: str
) -> None:
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        _, link = workspace.users.add("ada", Role.administrator)
        ada = workspace.users.use_link(link, WORD)
        session = workspace.sessions.begin(ada, WORD, "192.0.2.1", "a browser")
        _, open_link = workspace.users.add("grace", Role.viewer)
        _, shows = workspace.tokens.create("ci", Role.viewer)
    assert run("backup", tmp_path / name, "--data", data)[0] == 0
    code, text = run("restore", tmp_path / name, "--data", tmp_path / "new")
    assert code == 0
    assert "nobody is logged in" in text
    files = {path.name for path in (tmp_path / "new").iterdir()}
    assert not [one for one in files if "restoring" in one]
    with Workspace.open(tmp_path / "new") as workspace:
        assert workspace.users.password_of("ada") == (ada, WORD)
        assert workspace.sessions.find(session) is None
        with pytest.raises(UserError):
            workspace.users.link(open_link)
        assert workspace.tokens.find(shows) is not None
        assert [entry.what for entry in workspace.audit.page()][-1] == "source.added"
    assert run("check", "--data", tmp_path / "new")[0] == 0


def test_check_counts_people_and_tells_of_rows_that_say_nothing_any_more(data: Path) -> None:
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        workspace.users.add("ada", Role.viewer)
        workspace.tokens.create("ci", Role.viewer)
    files = told(data, "check")["files"]
    assert [one["holds"] for one in files] == ["1 sources, 0 destinations, 1 users, 1 API tokens"]
    with Workspace.open(data) as workspace, workspace._database.write() as db:
        db.execute("UPDATE audit SET changes = '{' WHERE what = 'source.added'")
    code, text = run("check", "--data", data)
    assert code == 1
    assert "1 rows of the audit log" in text
