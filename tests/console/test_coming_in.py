"""Logging in and out, one-time links, and what people may do with their own account: on a real server."""

import re
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from milonga.console.app import SESSION
from milonga.console.pages.door import page_of_ours, too_often
from milonga.workspace.passwords import hashed
from milonga.workspace.people import csrf_of
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.harness import PASSWORD, Answer, Console, console_of

OTHER = "some other words will do"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Its proxy, whom it trusts, is us: each test comes from addresses of its own."""
    with console_of(tmp_path_factory.mktemp("coming"), "--trusted-proxy", "127.0.0.1") as running:
        yield running


def person(console: Console, name: str, role: Role = Role.viewer) -> str:
    """Somebody with PASSWORD; the name."""
    with Workspace.open(console.data) as workspace:
        _, link = workspace.users.add(name, role)
        workspace.users.use_link(link, hashed(PASSWORD))
    return name


def log_in(console: Console, name: str, password: str, address: str, after: str = "", cookie: str = "") -> Answer:
    headers = {"X-Forwarded-For": address, "User-Agent": "Firefox/128.0 on Linux", "Cookie": f"{SESSION}={cookie}"}
    return console.post("/login", {"name": name, "password": password, "after": after}, role=None, headers=headers)


def cookie_of(answer: Answer) -> str:
    found = SimpleCookie(answer.headers.get("set-cookie", ""))
    return found[SESSION].value if SESSION in found else ""


def as_(console: Console, cookie: str, path: str = "/you") -> Answer:
    return console.get(path, role=None, headers={"Cookie": f"{SESSION}={cookie}"})


# Logging in


def test_whoever_logs_in_goes_on_to_the_page_that_was_wanted(console: Console) -> None:
    name = person(console, "ada@example.com")
    answer = log_in(console, "ADA@example.com", PASSWORD, "192.0.2.1", "/events?name=a%20b")
    assert (answer.status, answer.headers["location"]) == (303, "/events?name=a%20b")
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=lax" in said
    assert "secure" not in said  # it is plain http here
    page = as_(console, cookie_of(answer))
    assert page.status == 200
    assert f"{name}, viewer" in page.text
    assert "Firefox on Linux" in page.text
    assert "192.0.2.1" in page.text


def test_logging_in_again_ends_the_session_of_whoever_used_the_browser_before(console: Console) -> None:
    for name in ("first", "second"):
        person(console, name)
    before = cookie_of(log_in(console, "first", PASSWORD, "192.0.2.2"))
    after = cookie_of(log_in(console, "second", PASSWORD, "192.0.2.2", cookie=before))
    assert after not in ("", before)
    assert (as_(console, before).status, as_(console, after).status) == (303, 200)


def test_what_is_wrong_is_not_said_nor_whether_there_is_such_a_user(console: Console) -> None:
    for name in ("dora", "dismissed"):
        person(console, name)
    with Workspace.open(console.data) as workspace:
        workspace.users.set_disabled("dismissed", disabled=True)
        workspace.users.add("invited", Role.viewer)
    tries = {"dora": "not the password", "dismissed": PASSWORD, "invited": "", "nobody": PASSWORD, "<b>": PASSWORD}
    answers = {
        name: log_in(console, name, password, f"192.0.2.{n}") for n, (name, password) in enumerate(tries.items(), 10)
    }
    assert {answer.status for answer in answers.values()} == {403}
    assert not [answer for answer in answers.values() if cookie_of(answer)]
    told = {answer.text.replace(f'value="{name}"', "").replace("&lt;b&gt;", "") for name, answer in answers.items()}
    assert len({re.sub(r'value=""', "", text) for text in told}) == 1
    assert "do not go together" in told.pop()
    assert not [answer for answer in answers.values() if PASSWORD in answer.text or "<b>" in answer.text]


def test_whoever_guesses_must_wait_and_is_told_how_long_in_a_sentence(console: Console) -> None:
    name = person(console, "guessed")
    assert cookie_of(log_in(console, name, PASSWORD, "198.51.100.1"))
    for number in range(40):  # each wait is twice the one before: so many cannot all come late enough
        started = time.monotonic()
        answer = log_in(console, name, f"guess number {number}", f"198.51.100.{number + 2}")
        if answer.status == 429:
            break
        failed = started  # then, or a little later
    assert answer.status == 429
    assert re.search(r"Too many attempts have failed\. Wait \d+ seconds?, then try again\.", answer.text)
    assert int(answer.headers["retry-after"]) >= 1
    right = log_in(console, name, PASSWORD, "198.51.100.99")
    assert not cookie_of(right) or time.monotonic() - failed >= 1.0, "not even with the right one"
    assert cookie_of(log_in(console, name, PASSWORD, "198.51.100.1")), "but from where the user came in before"


@pytest.mark.parametrize(
    ("address", "to"),
    [
        *[(good, good) for good in ("/", "/events?a=b&c=%20", "/sources/web#x", "/a//b")],
        *[(bad, "/") for bad in ("", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:x")],
        *[(bad, "/") for bad in ("/\t/evil.example", "/a b", "/\n", "/login?after=/", "/logout", "/setup/x", "evil")],
    ],
)
def test_one_goes_on_to_pages_of_ours_alone(address: str, to: str) -> None:
    assert page_of_ours(address) == to


def test_waits_are_told_in_words() -> None:
    assert too_often(0.2).endswith("Wait 1 second, then try again.")
    assert too_often(59.5).endswith("Wait 60 seconds, then try again.")
    assert too_often(299.9).endswith("Wait 5 minutes, then try again.")


def test_logging_out_ends_the_session_and_not_only_the_cookie(console: Console) -> None:
    cookie = console.cookie(Role.viewer)
    with Workspace.open(console.data) as workspace:
        viewer = workspace.users.named("the-viewer")
        own = workspace.sessions.begin(viewer, workspace.users.password_of("the-viewer")[1] or "", "", "")
    headers = {"Cookie": f"{SESSION}={own}"}
    assert console.post("/logout", {}, role=None, headers=headers).status == 403, "without its token"
    answer = console.post("/logout", {"csrf": csrf_of(own)}, role=None, headers=headers)
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert as_(console, own).status == 303
    assert as_(console, cookie).status == 200


# One-time links


def test_a_link_sets_a_password_once_and_logs_in(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        _, secret = workspace.users.add("grace", Role.editor)
    path = f"/setup/{secret}"
    page = console.get(path, role=None)
    assert page.status == 200
    assert "<strong>grace</strong>, editor" in page.text
    short = console.post(path, {"password": "short"}, role=None)
    assert (short.status, "at least 12 characters" in short.text) == (422, True)
    assert "at least 12" in console.post(path, {}, role=None).text
    assert "The name is no password" not in short.text
    answer = console.post(path, {"password": OTHER, "name": "somebody-else"}, role=None)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert "grace, editor" in as_(console, cookie_of(answer)).text
    for again in (console.get(path, role=None), console.post(path, {"password": OTHER}, role=None)):
        assert (again.status, "This link is over" in again.text) == (404, True)
    assert cookie_of(log_in(console, "grace", OTHER, "192.0.2.30"))


@pytest.mark.parametrize("secret", ["x", "x" * 5_000, "%00", "..%2f..", "%F0%9F%92%83", "<script>"])
def test_a_link_that_was_made_up_leads_nowhere(console: Console, secret: str) -> None:
    path = f"/setup/{secret}" if "<" not in secret else "/setup/%3Cscript%3E"
    assert console.get(path, role=None).status == 404
    assert console.post(path, {"password": OTHER}, role=None).status == 404


# One's own account


def test_another_password_needs_the_present_one_and_logs_out_everywhere_else(console: Console) -> None:
    name = person(console, "joan")
    here, there = (cookie_of(log_in(console, name, PASSWORD, f"192.0.2.4{n}")) for n in (1, 2))

    def change(cookie: str, present: str, password: str) -> Answer:
        headers = {"Cookie": f"{SESSION}={cookie}", "X-Forwarded-For": "192.0.2.41"}
        form = {"csrf": csrf_of(cookie), "present": present, "password": password}
        return console.post("/you/password", form, role=None, headers=headers)

    assert "not your present password" in change(here, OTHER, OTHER).text
    assert "at least 12" in change(here, PASSWORD, "short").text
    assert as_(console, there).status == 200
    answer = change(here, PASSWORD, OTHER)
    assert (answer.status, answer.headers["location"]) == (303, "/you")
    assert [as_(console, one).status for one in (here, there, cookie_of(answer))] == [303, 303, 200]
    assert not cookie_of(log_in(console, name, PASSWORD, "192.0.2.43"))
    assert cookie_of(log_in(console, name, OTHER, "192.0.2.44"))


def test_one_sees_where_one_is_logged_in_and_logs_out_elsewhere(console: Console) -> None:
    name = person(console, "margaret")
    here, there, third = (cookie_of(log_in(console, name, PASSWORD, f"192.0.2.5{n}")) for n in (1, 2, 3))
    page = as_(console, here).text
    assert page.count("this one") == 1
    (number,) = re.findall(r'name="session" value="(\d+)"><button[^>]*192\.0\.2\.52', page)
    headers = {"Cookie": f"{SESSION}={here}"}
    form = {"csrf": csrf_of(here)}
    console.post("/you/sessions/end", {**form, "session": number}, role=None, headers=headers)
    assert [as_(console, one).status for one in (here, there, third)] == [200, 303, 200]
    console.post("/you/sessions/end-others", form, role=None, headers=headers)
    assert [as_(console, one).status for one in (here, there, third)] == [200, 303, 303]


def test_nobody_ends_the_session_of_somebody_else(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        theirs = console.cookie(Role.editor)
        session = workspace.sessions.find(theirs)
    assert session is not None
    assert console.post("/you/sessions/end", {"session": session.id}, Role.viewer).status == 303
    assert as_(console, theirs).status == 200


# From the beginning, in a browser


def test_the_first_start_in_a_browser(tmp_path: Path, browser: Browser) -> None:
    with console_of(tmp_path) as console, console.visiting(browser, None) as page:
        page.goto(console.url)
        assert page.url.endswith("/login")
        assert page.get_by_text("Nobody can log in yet.").is_visible()
        page.goto(console.milonga.first_link)
        page.get_by_label("Name").fill("ada@example.com")
        password = page.locator("#password")
        password.fill("short")
        page.get_by_role("button", name="Show").click()
        assert password.get_attribute("type") == "text"
        page.get_by_role("button", name="Set the password").click()
        page.get_by_text("A password has at least 12 characters.").wait_for()
        assert page.get_by_text("at least 12 characters").count() == 1, "the hint does not say so, too"
        assert page.get_by_label("Name").input_value() == "ada@example.com"
        page.locator("#password").fill(PASSWORD)
        page.get_by_role("button", name="Set the password").click()
        page.get_by_role("heading", name="Overview").wait_for()
        assert page.get_by_role("status").get_by_text("You are an administrator").is_visible()

        page.goto(console.url + "/users")
        page.get_by_label("Name").fill("grace")
        page.get_by_label("Role").select_option("editor")
        page.get_by_role("button", name="Make an invitation").click()
        link = page.locator("#link").inner_text()
        assert link.startswith(f"{console.url}/setup/")
        page.get_by_role("button", name="Log out").last.click()
        page.get_by_role("heading", name="Log in").wait_for()

        page.goto(link)
        page.locator("#password").fill(OTHER)
        page.get_by_role("button", name="Set the password").click()
        page.get_by_role("heading", name="Overview").wait_for()
        assert not page.get_by_role("link", name="Users").count()
        page.goto(link)
        assert page.get_by_role("heading", name="This link is over").is_visible()
        page.goto(console.url + "/users")
        assert page.get_by_text("This is for an administrator.").is_visible()
