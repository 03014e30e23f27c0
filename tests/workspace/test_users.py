"""Who may use the console, in a real workspace.db: users, and the one-time links by which they choose passwords."""

import threading
from pathlib import Path

import pytest

from milonga.workspace import users
from milonga.workspace.errors import Clash, NotThere, UserError
from milonga.workspace.store import Workspace
from milonga.workspace.users import LinkOver
from tests.clocks import Still
from tests.workspace.paper import open_paper
from tests.workspace.people import ADMINISTRATOR, EDITOR, OTHER, VIEWER, WORD, let_in, signed_in


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


def test_a_link_is_over_after_thirty_minutes(workspace: Workspace, now: Still[int]) -> None:
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
