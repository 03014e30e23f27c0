"""What holds for every page: who gets in, what a browser may do with it, and from where it may be changed."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from milonga.console import built
from milonga.console.pages import all_pages
from milonga.workspace.roles import Role
from tests.console.harness import Console, console_of
from tests.running import eventually


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("console")) as running:
        yield running


def test_a_stranger_is_asked_to_log_in_and_comes_back_where_he_wanted_to(console: Console) -> None:
    answer = console.get("/?range=24h", role=None)
    assert answer.status == 303
    assert answer.headers["location"] == "/login?after=%2F%3Frange%3D24h"
    part = console.get("/", role=None, headers={"HX-Request": "true"})
    assert (part.status, part.headers["hx-redirect"]) == (401, "/login")


def test_a_session_shows_pages(console: Console) -> None:
    answer = console.get("/")
    assert answer.status == 200
    assert "<h1>Overview</h1>" in answer.text


def test_the_navigation_says_where_one_is(console: Console) -> None:
    for path, name in (("/", "Overview"), ("/account?id=acme", "Accounts"), ("/destinations/new", "Destinations")):
        marked = re.findall(r'<a href="[^"]*" aria-current="page">([^<]*)</a>', console.get(path, Role.editor).text)
        assert set(marked) == {name}, path


def test_nothing_but_our_own_files_may_run_in_a_page(console: Console) -> None:
    for path in ("/", "/nothing-here", "/static/none"):
        headers = console.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_a_name_that_is_not_ours_is_not_answered(console: Console) -> None:
    port = console.url.rpartition(":")[2]
    assert console.get("/", headers={"Host": f"evil.example:{port}"}).status == 421
    assert console.get("/", headers={"Host": f"localhost:{port}"}).status == 200
    assert console.get("/", headers={"Host": "127.0.0.1.evil.example"}).status == 421
    assert console.get("/", headers={"Host": "evil.example@localhost"}).status == 421


def test_none_of_its_paths_is_on_the_port_that_takes_events(console: Console) -> None:
    for path in ("/", "/login", "/static/none", "/api/v1/sources"):
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{console.milonga.url}{path}")  # noqa: S310  our own server


def test_what_is_built_is_kept_by_browsers_for_ever(console: Console) -> None:
    page = console.get("/").text
    for end in (".js", ".css", ".svg"):
        path = next(part for part in page.split('"') if part.startswith("/static/") and part.endswith(end))
        answer = console.get(path, role=None)
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]


def test_the_colours_of_both_themes_need_no_new_browser() -> None:
    css = (built.content(built.asset("console.css").rpartition("/")[2]) or b"").decode()
    assert "light-dark(" not in css

    def set_for(selector: str) -> dict[str, str]:
        blocks = re.findall(re.escape(selector) + r"\{([^}]*)\}", css)
        return dict(re.findall(r"(--[a-z-]+): ?([^;]+)", ";".join(blocks)))

    light, dark = set_for(":root"), set_for("@media(prefers-color-scheme:dark){:root:not([data-theme=light])")
    assert len(dark) > 15
    assert all(light[name] != value for name, value in dark.items())
    assert set_for(":root[data-theme=dark]") == dark


def test_nothing_is_remembered_of_names_that_are_no_file() -> None:
    name = "".join(("none-of-ours", ".js"))
    before = sys.getrefcount(name)
    assert built.content(name) is None
    assert sys.getrefcount(name) == before


@pytest.mark.parametrize("origin", ["null", "http://[", "http://evil.example", "http://127.0.0.1:8081@evil.example"])
def test_a_page_that_is_not_ours_changes_nothing(origin: str, console: Console) -> None:
    answer = console.post("/login", {"name": "x", "password": "y"}, None, {"Origin": origin})
    assert (answer.status, answer.text[:8]) == (403, "Refused:")


def test_a_body_that_is_too_long_is_refused(console: Console) -> None:
    answer = console.ask("POST", "/logout", Role.editor, b"", {"Origin": console.url, "Content-Length": "3000000"})
    assert answer.status == 413


@pytest.mark.parametrize("path", sorted({page.path for page in all_pages() if page.method == "GET"}))
def test_every_page_needs_a_role_or_says_that_strangers_may_come(path: str) -> None:
    strangers = {"/login", "/setup/{token}"}
    needs = {page.needs for page in all_pages() if page.path == path and page.method == "GET"}
    assert (needs == {None}) == (path in strangers)


def test_its_process_is_started_again_when_it_dies(console: Console) -> None:
    before = console.milonga.console_pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    eventually(lambda: console.milonga.console_pid() not in (None, before), "a new process")
    assert console.get("/").status == 200
