"""Every page there is: who is let in, and from where it may be changed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from milonga.api.app import ApiRoute
from milonga.console.app import make_app
from milonga.console.config import Config
from milonga.console.door import WorkspaceDoor
from milonga.console.pages import all_pages
from milonga.console.table import Page
from milonga.workspace.roles import Role
from tests.console.harness import Answer, Console, console_of

FOR_STRANGERS = {"/login", "/setup/{token}"}
FOR_VIEWERS_TO_CHANGE = {"/logout", "/you/password", "/you/sessions/end", "/you/sessions/end-others"}
"""Their own affairs. A preview sends nothing and keeps nothing: it changes nothing, though it is posted. So does asking
whether somebody is suppressed, whose id is to be in no address."""
POSTED_TO_LOOK = re.compile(r"/preview\b|/regulations/look\b")
PAGES = all_pages()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("roles")) as running:
        yield running


def path_of(page: Page) -> str:
    return re.sub(r"\{[^}]*\}", "x", page.path)


def needing(least: Role | None = None) -> list[Page]:
    """Pages that need this role or more; without one, any at all."""
    return [page for page in PAGES if page.needs is not None and (least is None or page.needs.may(least))]


def lesser(needed: Role) -> list[Role]:
    return [role for role in Role if not role.may(needed)]


def test_the_application_has_no_way_in_but_the_table_of_pages_the_static_files_and_the_api(tmp_path: Path) -> None:
    app = make_app(Config(data=tmp_path, events_url=""), WorkspaceDoor(tmp_path))
    known = {(page.path, page.method) for page in PAGES}
    for route in app.routes:
        if isinstance(route, ApiRoute):
            continue  # tests/api says who may what there
        assert isinstance(route, Route)
        if route.path == "/static/{name}":
            continue
        for method in (route.methods or set()) - {"HEAD"}:
            assert (route.path, method) in known


def test_strangers_may_log_in_and_use_a_link_and_nothing_else() -> None:
    assert {page.path for page in PAGES if page.needs is None} == FOR_STRANGERS


def test_a_viewer_changes_nothing_but_what_is_the_viewers_own() -> None:
    posted = {page.path for page in PAGES if page.method == "POST" and page.needs is Role.viewer}
    assert {path for path in posted if not POSTED_TO_LOOK.match(path)} == FOR_VIEWERS_TO_CHANGE


def test_people_and_tokens_are_for_administrators_and_so_is_asking_for_a_regulation() -> None:
    for page in PAGES:
        if page.path.split("/")[1] in ("users", "tokens", "audit"):
            assert page.needs is Role.administrator, page.path
    asking = {page.path for page in PAGES if page.path.startswith("/regulations") and page.needs is Role.administrator}
    assert asking == {"/regulations", "/regulations/new", "/regulations/check"}
    looking = {page.path for page in PAGES if page.path.startswith("/regulations") and page.needs is Role.viewer}
    assert looking == {"/regulations", "/regulations/{number}", "/regulations/look"}, "as by the API"


def test_a_stranger_is_sent_to_log_in_and_a_part_of_a_page_is_refused(console: Console) -> None:
    for page in needing():
        body = b"" if page.method == "POST" else None
        answer = console.ask(page.method, path_of(page), None, body, FORM if body is not None else {})
        assert answer.status == 303, page.path
        assert answer.headers["location"].startswith("/login"), page.path
        part = console.ask(page.method, path_of(page), None, body, {**FORM, "HX-Request": "true"})
        assert (part.status, part.text) == (401, ""), page.path


def test_a_lesser_role_is_refused_whatever_it_sends(console: Console) -> None:
    tried = 0
    for page in needing():
        assert page.needs is not None
        for role in lesser(page.needs):
            asked = console.post if page.method == "POST" else console.get
            answer: Answer = asked(path_of(page), role=role)
            assert answer.status == 403, (page.path, role)
            assert f"n {page.needs.value}" in answer.text or f"a {page.needs.value}" in answer.text
            tried += 1
    assert tried > 10


def test_no_change_is_made_without_the_token_of_the_session(console: Console) -> None:
    foreign = {"csrf": "0" * 64}
    others = {"csrf": console.token(Role.viewer)}
    for page in needing():
        if page.method == "POST":
            for form in ({"csrf": ""}, foreign, others):
                answer = console.post(path_of(page), form, Role.administrator)
                assert answer.status == 403, page.path
                assert "not of your session" in answer.text


def test_no_change_is_made_from_a_page_of_somebody_else(console: Console) -> None:
    for page in [page for page in PAGES if page.method == "POST"]:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": console.url.replace("127.0.0.1", "localhost")},
        ):
            answer = console.post(path_of(page), role=Role.administrator, headers=headers)
            assert answer.status == 403, page.path
            assert "not by one of ours" in answer.text
        own = {**FORM, "Sec-Fetch-Site": "cross-site"}
        assert console.ask("POST", path_of(page), Role.administrator, b"", own).status == 403


def test_what_is_only_to_be_looked_at_is_not_changed_by_other_methods(console: Console) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        answer = console.ask(method, "/users", Role.administrator, b"", {"Origin": console.url})
        assert answer.status in (404, 405)
