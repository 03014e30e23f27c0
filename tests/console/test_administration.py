"""Users, API tokens and the audit log, as an administrator has them: on a real server."""

import re
from collections.abc import Iterator
from html import unescape
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import unquote

import pytest

from milonga.console.pages.audit import DEEDS, THINGS
from milonga.console.visit import SAID
from milonga.delivery.by_hand import KINDS as PARKED
from milonga.delivery.letters import KINDS as LETTERS
from milonga.workspace import audit as workspace_audit
from milonga.workspace.model import DestinationState
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.harness import Answer, Console, console_of
from tests.console.reading import words
from tests.running import eventually

HUSH = "a-token-to-hush-up"
ADMINISTRATOR = Role.administrator


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("administration")) as running:
        running.cookie(ADMINISTRATOR)
        yield running


def seen(console: Console, path: str) -> str:
    answer = console.get(path, ADMINISTRATOR)
    assert answer.status == 200, answer.text
    return answer.text


def done(console: Console, path: str, **form: str) -> Answer:
    return console.post(path, form, ADMINISTRATOR)


def said(answer: Answer) -> str:
    """What the next page says on top."""
    assert answer.status == 303
    return unquote(SimpleCookie(answer.headers["set-cookie"])[SAID].value)


# Users


def test_an_invitation_is_shown_once_and_works(console: Console) -> None:
    answer = done(console, "/users", name="grace@example.com", role="editor")
    assert answer.status == 200
    (secret,) = re.findall(rf">{console.url}/setup/([\w-]+)<", answer.text)
    with Workspace.open(console.data) as workspace:
        link = workspace.users.link(secret)
        assert link.user is not None
        assert (link.user.name, link.user.role) == ("grace@example.com", Role.editor)
        (entry,) = workspace.audit.page(1)
        assert (entry.by, entry.what) == ("user:the-administrator", "user.added")
    for path in ("/users", "/users/grace@example.com", "/audit"):
        assert secret not in seen(console, path)
    assert "invited" in words(seen(console, "/users"))


@pytest.mark.parametrize(
    ("name", "role", "status", "says"),
    [
        ("two words", "viewer", 422, "A name has 1 to 64 characters"),
        ("", "viewer", 422, "A name has 1 to 64 characters"),
        ("the-administrator", "viewer", 409, "already"),
        ("joan", "king", 409, "no such role"),
    ],
)
def test_what_was_typed_stays_when_an_invitation_is_refused(
    console: Console, name: str, role: str, status: int, says: str
) -> None:
    answer = done(console, "/users", name=name, role=role)
    assert (answer.status, says in answer.text) == (status, True)
    assert f'value="{name}"' in answer.text


def test_roles_and_states_are_changed_and_felt_at_once(console: Console) -> None:
    console.cookie(Role.viewer)
    assert said(done(console, "/users/the-viewer/role", role="editor")) == "the-viewer is editor now."
    assert console.get("/", Role.viewer).status == 303, "logged out by it"
    done(console, "/users/the-viewer/role", role="viewer")
    with Workspace.open(console.data) as workspace:
        user, stored = workspace.users.password_of("the-viewer")
        assert user is not None
        assert stored is not None
        console._cookies[Role.viewer] = workspace.sessions.begin(user, stored, "", "")
    assert console.get("/", Role.viewer).status == 200
    done(console, "/users/the-viewer/disable")
    assert console.get("/", Role.viewer).status == 303
    assert "cannot log in" in words(seen(console, "/users/the-viewer"))
    done(console, "/users/the-viewer/enable")
    assert "active" in words(seen(console, "/users/the-viewer"))
    reset = done(console, "/users/the-viewer/reset")
    assert f"{console.url}/setup/" in reset.text
    assert done(console, "/users/the-viewer/remove").headers["location"] == "/users"
    assert console.get("/users/the-viewer", ADMINISTRATOR).status == 404
    del console._cookies[Role.viewer]


def test_the_last_administrator_stays_and_it_is_said_why(console: Console) -> None:
    for path, form in (("remove", {}), ("disable", {}), ("role", {"role": "viewer"})):
        answer = done(console, f"/users/the-administrator/{path}", **form)
        assert (answer.status, "only administrator" in answer.text) == (409, True)
    assert done(console, "/users/nobody/remove").status == 404
    assert done(console, "/users/the-administrator/role", role="king").status == 422


# Tokens


def test_a_token_is_shown_once_and_lets_its_program_in(console: Console) -> None:
    answer = done(console, "/tokens", name="ci", role="viewer", days="30")
    assert answer.status == 200
    (shows,) = re.findall(r">(mlg_[\w-]{43})<", answer.text)
    with Workspace.open(console.data) as workspace:
        token = workspace.tokens.find(shows)
        assert token is not None
        assert (token.name, token.role, token.created_by) == ("ci", Role.viewer, "user:the-administrator")
        assert token.ends_at is not None
    listed = seen(console, "/tokens")
    assert shows not in listed
    assert shows[:8] in listed
    assert said(done(console, "/tokens/revoke", name="ci")).startswith("ci is revoked")
    with Workspace.open(console.data) as workspace:
        assert workspace.tokens.find(shows) is None


def test_a_token_may_last_for_ever_and_a_wrong_one_keeps_what_was_typed(console: Console) -> None:
    assert done(console, "/tokens", name="for ever", role="editor", days="").status == 422
    again = done(console, "/tokens", name="for ever", role="editor", days="")
    assert 'value="for ever"' in again.text
    assert '<option value="editor" selected>' in again.text
    assert '<option value="" selected>' in again.text
    assert done(console, "/tokens", name="for-ever", role="editor", days="").status == 200
    assert "never never" in words(seen(console, "/tokens"))
    assert done(console, "/tokens", name="for-ever", role="editor").status == 409
    assert done(console, "/tokens", name="other", role="king").status == 422
    assert done(console, "/tokens/revoke", name="nothing").status == 404


# The audit log


def test_the_log_shows_each_field_before_and_after_and_no_secret(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("shop", "a-long-write-key")
        workspace.sources.set_settings("shop", {"rateLimit": 50, "origins": "https://a.example, https://b.example"})
        settings = {"serviceId": "SP-1", "sdrToken": HUSH}
        workspace.add_destination("totango", "shop", "totango", settings, DestinationState.on, {}, by="token:ci")
        workspace.set_settings("totango", {"sdrToken": f"{HUSH}2", "serviceId": "SP-2"}, by="user:ada")
        workspace.change_state("totango", DestinationState.paused, "settings", "401: <b>no</b>", {})
    page = seen(console, "/audit")
    told = words(page)
    assert "Source settings changed shop" in told
    assert "Rate limit 0 → 50" in told
    assert "Service ID SP-1 → SP-2 SDR Token replaced by another" in told
    assert "token ci Destination added totango" in told
    assert "the pipeline Destination switched totango State on → paused Why 401: <b>no</b>" in told
    assert "<ins>https://b.example</ins>" in page
    assert HUSH not in page
    assert "a-long-write-key" not in page


def test_coming_in_and_failing_to_are_told_and_no_name_that_nobody_has(console: Console) -> None:
    console.cookie(Role.viewer)
    for name in ("the-viewer", "a password, typed into the wrong field"):
        refused = console.post("/login", {"name": name, "password": "not the password"}, role=None)
        assert refused.status == 403

    def told() -> bool:
        page = words(seen(console, "/audit?what=session.failed"))
        return page.count("somebody Failed to log in") >= 2 and "Failed to log in the-viewer Address 127.0.0.1" in page

    eventually(told, "they are in the log")
    page = words(seen(console, "/audit?what=session"))
    assert "the-viewer Logged in the-viewer" in page
    assert "wrong field" not in page
    assert "Logged in" not in words(seen(console, "/users/the-viewer")), "that hides nothing the user did"


def test_whatever_is_recorded_has_words() -> None:
    folder = Path(workspace_audit.__file__).parent
    known = "|".join(THINGS)
    written = {
        what
        for path in folder.glob("*.py")
        for what in re.findall(rf'"((?:{known})\.[a-z_]+)"', path.read_text())
        if what != "destination.says_nothing_to_browsers"  # a line of the log
    }
    assert len(written) > 15
    commands = {f"command.{kind}" for kind in (*PARKED, *LETTERS, "replay", "set_replay")}
    assert set(DEEDS) >= written | commands


def test_rows_are_chosen_by_who_what_and_name_and_what_is_made_up_finds_nothing(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        workspace.sources.add("chosen", by="user:chooser")
        workspace.sources.set_settings("chosen", {"rateLimit": 7}, by="user:chooser")
        workspace.tokens.create("chosen", Role.viewer, by="user:chooser")

    def rows(query: str) -> list[str]:
        page = seen(console, f"/audit?{query}")
        return re.findall(r'<td title="([\w.]+)">', page)

    assert rows("by=user%3Achooser") == ["token.created", "source.settings", "source.added"]
    assert rows("by=user%3Achooser&what=source&name=chosen") == ["source.settings", "source.added"]
    assert rows("what=token&name=chosen") == ["token.created"]
    for query in ("by=%27%22%3E%3Cscript%3E", "name=%00", "what=sour", f"name={'x' * 5_000}"):
        assert rows(query) == []
    assert "Nothing like that was changed." in seen(console, "/audit?name=nothing")
    assert "<script>" not in seen(console, "/audit?name=%22%3E%3Cscript%3E")
    for before in ("x", "1", "-", "1-x", f"{'9' * 30}-1", "%F0%9F%92%83-1"):
        assert rows(f"name=chosen&before={before}")


def test_pages_follow_each_other_without_a_gap(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        for number in range(130):
            workspace.commands.ask("resend", {"positions": [[0, 1]] * number}, by="user:pager")
    path, counts = "/audit?by=user%3Apager", list[int]()
    while path:
        page = seen(console, path)
        counts += [int(n) for n in re.findall(r"<ins>(\d+)</ins>", page)]
        found = re.search(r'href="([^"]+)" rel="next"', page)
        path = unescape(found[1]) if found else ""
        assert len(counts) <= 130
    assert counts == list(range(129, -1, -1))
