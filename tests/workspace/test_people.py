"""Who may use the console, in a real workspace.db: users, one-time links, sessions and API tokens."""

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from milonga.workspace import sessions, tokens, users
from milonga.workspace.errors import Clash, NotThere, UserError
from milonga.workspace.people import Session, User
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from milonga.workspace.users import LinkOver
from tests.workspace.paper import open_paper

HOUR, DAY = 3_600_000, 86_400_000
WORD = "$argon2id$of-one-password"  # what is compared is in test_passwords.py
OTHER = "$argon2id$of-another"
ADMINISTRATOR, EDITOR, VIEWER = Role.administrator, Role.editor, Role.viewer


class Now:
    """Stands still until told."""

    def __init__(self) -> None:
        self.at = 1_700_000_000_000

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def workspace(tmp_path: Path, now: Now) -> Iterator[Workspace]:
    with open_paper(tmp_path / "data", now=now) as workspace:
        yield workspace


def let_in(workspace: Workspace, name: str = "ada", role: Role = ADMINISTRATOR) -> User:
    """Somebody with a password."""
    _, secret = workspace.users.add(name, role)
    return workspace.users.use_link(secret, WORD)


def signed_in(workspace: Workspace, user: User, password: str = WORD, agent: str = "a browser") -> str:
    return workspace.sessions.begin(user, password, "192.0.2.1", agent)


def words_in(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in data.glob("workspace.db*"))


# The first administrator


def test_the_first_link_makes_an_administrator_once(workspace: Workspace) -> None:
    secret = workspace.users.first_link()
    assert secret is not None
    assert workspace.users.link(secret).user is None
    user = workspace.users.use_link(secret, WORD, "ada")
    assert (user.name, user.role, user.invited, user.disabled) == ("ada", ADMINISTRATOR, False, False)
    with pytest.raises(LinkOver, match="used already"):
        workspace.users.use_link(secret, OTHER, "eve")
    assert workspace.users.first_link() is None
    assert [one.name for one in workspace.users.all()] == ["ada"]


def test_each_start_makes_a_new_first_link_and_voids_the_one_before(workspace: Workspace) -> None:
    first, second = workspace.users.first_link(), workspace.users.first_link()
    assert first is not None
    assert second is not None
    with pytest.raises(LinkOver):
        workspace.users.link(first)
    assert workspace.users.link(second).user is None


def test_the_first_link_is_void_once_somebody_was_added_otherwise(workspace: Workspace) -> None:
    secret = workspace.users.first_link()
    assert secret is not None
    workspace.users.add("grace", VIEWER)
    with pytest.raises(LinkOver):
        workspace.users.use_link(secret, WORD, "eve")
    assert [one.name for one in workspace.users.all()] == ["grace"]


def test_a_name_that_cannot_be_leaves_the_link_as_it_was(workspace: Workspace) -> None:
    secret = workspace.users.first_link()
    assert secret is not None
    with pytest.raises(UserError, match="1 to 64 characters"):
        workspace.users.use_link(secret, WORD, "a b")
    assert workspace.users.use_link(secret, WORD, "ada").name == "ada"


def test_of_many_who_open_the_first_link_at_once_one_becomes_the_administrator(tmp_path: Path) -> None:
    with open_paper(tmp_path / "data") as workspace:
        secret = workspace.users.first_link()
    assert secret is not None
    became, refused = [], []

    def use(number: int) -> None:
        with open_paper(tmp_path / "data") as own:
            try:
                became.append(own.users.use_link(secret, WORD, f"user{number}").name)
            except LinkOver:
                refused.append(number)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(became), len(refused)) == (1, 5)
    with open_paper(tmp_path / "data") as workspace:
        assert [one.name for one in workspace.users.all()] == became


# Links


def test_a_link_is_over_after_thirty_minutes(workspace: Workspace, now: Now) -> None:
    _, secret = workspace.users.add("ada", VIEWER)
    now.at += users.LINK_LASTS - 1
    link = workspace.users.link(secret)
    assert link.user is not None
    assert (link.user.name, link.user.invited) == ("ada", True)
    now.at += 1
    for use in (workspace.users.link, lambda secret: workspace.users.use_link(secret, WORD)):
        with pytest.raises(LinkOver, match="30 minutes"):
            use(secret)


def test_a_newer_link_for_the_same_user_voids_the_older(workspace: Workspace) -> None:
    _, first = workspace.users.add("ada", VIEWER)
    _, second = workspace.users.reset("ada")
    with pytest.raises(LinkOver):
        workspace.users.use_link(first, WORD)
    assert not workspace.users.use_link(second, WORD).invited


def test_a_reset_leaves_the_password_in_force_until_another_is_chosen_and_then_signs_out(workspace: Workspace) -> None:
    ada = let_in(workspace)
    session = signed_in(workspace, ada)
    _, secret = workspace.users.reset("Ada")
    assert workspace.users.password_of("ada") == (ada, WORD)
    assert workspace.sessions.find(session) is not None
    workspace.users.use_link(secret, OTHER)
    assert workspace.users.password_of("ADA") == (ada, OTHER)
    assert workspace.sessions.find(session) is None


def test_neither_links_nor_sessions_nor_tokens_can_be_read_from_the_file(workspace: Workspace, tmp_path: Path) -> None:
    ada = let_in(workspace)
    _, link = workspace.users.reset("ada")
    session = signed_in(workspace, ada)
    _, token = workspace.tokens.create("ci", VIEWER)
    stored = words_in(tmp_path / "data")
    assert WORD.encode() in stored
    for secret in (link, session, token):
        assert secret.encode() not in stored
        assert secret[-20:].encode() not in stored


# Users


def test_names_are_unique_whatever_the_case_and_fit_in_a_line(workspace: Workspace) -> None:
    workspace.users.add("Ada@example.com", VIEWER)
    with pytest.raises(Clash, match="already"):
        workspace.users.add("ada@EXAMPLE.com", EDITOR)
    with pytest.raises(UserError, match="1 to 64 characters"):
        workspace.users.add("ada\n", VIEWER)
    assert workspace.users.named("ADA@example.com").name == "Ada@example.com"
    with pytest.raises(NotThere, match="milonga users list"):
        workspace.users.named("grace")


def test_the_last_administrator_who_can_sign_in_is_neither_removed_demoted_nor_disabled(workspace: Workspace) -> None:
    let_in(workspace)
    workspace.users.add("grace", ADMINISTRATOR)  # has no password yet, and may never have
    for what in (
        lambda: workspace.users.remove("ada"),
        lambda: workspace.users.set_role("ada", EDITOR),
        lambda: workspace.users.set_disabled("ada", disabled=True),
    ):
        with pytest.raises(Clash, match="only administrator"):
            what()
    let_in(workspace, "joan")
    workspace.users.set_disabled("joan", disabled=True)
    with pytest.raises(Clash, match="only administrator"):
        workspace.users.remove("ada")
    workspace.users.set_disabled("joan", disabled=False)
    workspace.users.remove("ada")
    with pytest.raises(Clash, match="only administrator"):
        workspace.users.set_role("joan", VIEWER)


def test_another_role_signs_out_and_the_same_does_not(workspace: Workspace) -> None:
    let_in(workspace)
    grace = let_in(workspace, "grace", EDITOR)
    session = signed_in(workspace, grace)
    workspace.users.set_role("grace", EDITOR)
    assert workspace.sessions.find(session) is not None
    assert workspace.users.set_role("grace", VIEWER).role is VIEWER
    assert workspace.sessions.find(session) is None


def test_whoever_is_disabled_is_out_until_enabled_and_has_no_links(workspace: Workspace) -> None:
    let_in(workspace)
    grace = let_in(workspace, "grace", EDITOR)
    session = signed_in(workspace, grace)
    _, link = workspace.users.reset("grace")
    assert workspace.users.set_disabled("grace", disabled=True).disabled
    assert workspace.sessions.find(session) is None
    assert workspace.users.password_of("grace") == (None, None)
    with pytest.raises(UserError, match="Log in again"):
        signed_in(workspace, grace)
    with pytest.raises(LinkOver):
        workspace.users.use_link(link, OTHER)
    with pytest.raises(Clash, match="Enable"):
        workspace.users.reset("grace")
    workspace.users.set_disabled("grace", disabled=False)
    assert workspace.users.password_of("grace") == (workspace.users.named("grace"), WORD)


def test_whoever_is_removed_is_out_and_the_name_is_free_again(workspace: Workspace) -> None:
    let_in(workspace)
    grace = let_in(workspace, "grace", EDITOR)
    session = signed_in(workspace, grace)
    workspace.users.remove("grace")
    assert workspace.sessions.find(session) is None
    with pytest.raises(UserError):
        signed_in(workspace, grace)
    again, _ = workspace.users.add("grace", VIEWER)
    assert again.id != grace.id


def test_users_are_bounded(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MOST_USERS", 2)
    workspace.users.add("ada", VIEWER)
    workspace.users.add("grace", VIEWER)
    with pytest.raises(Clash, match="no more can be"):
        workspace.users.add("joan", VIEWER)


def test_a_password_changed_by_its_user_signs_out_everywhere(workspace: Workspace) -> None:
    ada = let_in(workspace)
    session = signed_in(workspace, ada)
    workspace.users.change_password(ada, WORD, OTHER)
    assert workspace.sessions.find(session) is None
    with pytest.raises(Clash, match="same moment"):
        workspace.users.change_password(ada, WORD, "$argon2id$a-third")
    assert workspace.users.password_of("ada") == (ada, OTHER)


def test_hashing_again_never_undoes_a_change_made_meanwhile(workspace: Workspace) -> None:
    ada = let_in(workspace)
    workspace.users.change_password(ada, WORD, OTHER)
    workspace.users.rehash(ada, WORD, "$argon2id$weak-no-more")
    assert workspace.users.password_of("ada")[1] == OTHER
    session = signed_in(workspace, ada, OTHER)
    workspace.users.rehash(ada, OTHER, "$argon2id$weak-no-more")
    assert workspace.users.password_of("ada")[1] == "$argon2id$weak-no-more"
    assert workspace.sessions.find(session) is not None


# Sessions


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


def test_a_session_ends_twelve_hours_after_the_last_request(workspace: Workspace, now: Now) -> None:
    secret = signed_in(workspace, let_in(workspace))
    for _ in range(3):
        now.at += 11 * HOUR
        assert workspace.sessions.find(secret) is not None
    now.at += 12 * HOUR
    assert workspace.sessions.find(secret) is None


def test_a_look_at_a_session_keeps_it_no_longer(workspace: Workspace, now: Now) -> None:
    secret = signed_in(workspace, let_in(workspace))
    now.at += 11 * HOUR
    assert workspace.sessions.find(secret, touch=False) is not None
    now.at += HOUR
    assert workspace.sessions.find(secret) is None


def test_a_session_ends_after_fourteen_days_however_busy(workspace: Workspace, now: Now) -> None:
    secret = signed_in(workspace, let_in(workspace))
    for _ in range(14 * 4 - 1):
        now.at += 6 * HOUR
        assert workspace.sessions.find(secret) is not None
    now.at += 6 * HOUR
    assert workspace.sessions.find(secret) is None


def test_requests_of_a_session_write_but_now_and_then(workspace: Workspace, now: Now) -> None:
    secret = signed_in(workspace, let_in(workspace))
    token = workspace.token()
    now.at += sessions.TOUCHED - 1
    workspace.sessions.find(secret)
    assert not workspace.changed_since(token)
    now.at += 1
    workspace.sessions.find(secret)
    assert workspace.changed_since(token)


def test_of_too_many_sessions_of_a_user_the_one_unused_the_longest_goes(workspace: Workspace, now: Now) -> None:
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


def test_sessions_that_are_over_do_not_stay_in_the_file(workspace: Workspace, now: Now, tmp_path: Path) -> None:
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


# Tokens


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


def test_a_token_ends_with_its_last_day(workspace: Workspace, now: Now) -> None:
    _, shows = workspace.tokens.create("ci", VIEWER, days=7)
    now.at += 7 * DAY - 1
    assert workspace.tokens.find(shows) is not None
    now.at += 1
    assert workspace.tokens.find(shows) is None
    assert [one.name for one in workspace.tokens.all()] == ["ci"]
    for days in (0, -1, tokens.LONGEST_LIFE + 1):
        with pytest.raises(UserError, match="lasts 1 to"):
            workspace.tokens.create("other", VIEWER, days=days)


def test_a_token_tells_when_it_was_last_used_and_writes_that_but_now_and_then(workspace: Workspace, now: Now) -> None:
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
