"""What cookies are called and where they go: by https, on loopback, and by both at a time."""

import asyncio
import re
from pathlib import Path

import pytest
from starlette.applications import Starlette

from milonga.console.app import make_app
from milonga.console.config import Config
from milonga.console.door import WorkspaceDoor
from milonga.workspace.passwords import hashed
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.asgi import Got, ask
from tests.console.harness import PASSWORD

PUBLIC = "milonga.example.com"
BY_HTTPS, PLAIN = "__Host-milonga_session", "milonga_session"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("cookies")
    with Workspace.open(data) as workspace:
        _, link = workspace.users.add("ada", Role.viewer)
        workspace.users.use_link(link, hashed(PASSWORD))
    return data


@pytest.fixture(scope="module")
def console(data: Path) -> Starlette:
    """Behind a proxy that has TLS."""
    config = Config(data=data, events_url="", names=(PUBLIC,), secure=True, url=f"https://{PUBLIC}")
    return make_app(config, WorkspaceDoor(data))


def at(app: Starlette, path: str, host: str, *, cookie: str = "", scheme: str = "http", **form: str) -> Got:
    headers = {"Host": host, "Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    method = "POST" if form else "GET"
    return asyncio.run(ask(app, method, path, form=form or None, headers=headers, scheme=scheme))


def logged_in(app: Starlette, host: str, scheme: str = "http") -> tuple[str, str]:
    """The cookie as a browser sends it back, and what else it was told of it."""
    answer = at(app, "/login", host, scheme=scheme, name="ada", password=PASSWORD)
    assert answer.status == 303
    (session,) = [one for one in answer.cookies if "_session=" in one]
    cookie, _, rest = session.partition(";")
    return cookie, rest.lower()


def is_in(app: Starlette, host: str, cookie: str, scheme: str = "http") -> bool:
    answer = at(app, "/you", host, cookie=cookie, scheme=scheme)
    assert answer.status in (200, 303)
    return answer.status == 200


def test_by_https_a_session_is_of_this_host_alone_and_nobody_can_plant_another(console: Starlette) -> None:
    cookie, rest = logged_in(console, PUBLIC)
    name, _, secret = cookie.partition("=")
    assert name == BY_HTTPS
    assert {"path=/", "secure", "httponly", "samesite=lax"} <= {part.strip() for part in rest.split(";")}
    assert "domain" not in rest, "a browser would not take it"
    assert is_in(console, PUBLIC, cookie)
    assert not is_in(console, PUBLIC, f"{PLAIN}={secret}"), "that name anybody under the same domain may set"


def test_on_loopback_without_tls_the_name_is_plain_though_people_come_by_https(console: Starlette) -> None:
    for host in ("localhost:8081", "127.0.0.1:8081", "[::1]:8081"):
        cookie, rest = logged_in(console, host)
        assert cookie.startswith(f"{PLAIN}=")
        assert "secure" not in rest, "no browser would send it there"
        assert is_in(console, host, cookie)


def test_who_comes_both_ways_has_both_sessions_and_logs_out_of_one(console: Starlette) -> None:
    outside, here = logged_in(console, PUBLIC)[0], logged_in(console, "localhost")[0]
    csrf = re.search(r'name="csrf" content="(\w+)"', at(console, "/you", PUBLIC, cookie=outside).text)
    assert csrf is not None
    out = at(console, "/logout", PUBLIC, cookie=outside, csrf=csrf[1])
    assert [one for one in out.cookies if one.startswith(f'{BY_HTTPS}=""')]
    assert not is_in(console, PUBLIC, outside)
    assert is_in(console, "localhost", here)


def test_a_console_with_a_certificate_of_its_own_goes_by_its_scheme(data: Path) -> None:
    console = make_app(Config(data=data, events_url="", secure=True), WorkspaceDoor(data))
    cookie, rest = logged_in(console, "localhost", "https")
    assert cookie.startswith(f"{BY_HTTPS}=")
    assert "secure" in rest
    assert is_in(console, "localhost", cookie, "https")


def test_what_a_page_has_to_say_goes_by_the_same_rule(console: Starlette) -> None:
    csrf = {}
    for host, prefix in ((PUBLIC, "__Host-"), ("localhost", "")):
        cookie, _ = logged_in(console, host)
        found = re.search(r'name="csrf" content="(\w+)"', at(console, "/you", host, cookie=cookie).text)
        assert found is not None
        csrf[host] = found[1]
        said = at(console, "/you/sessions/end-others", host, cookie=cookie, csrf=csrf[host]).cookies
        assert [one for one in said if one.startswith(f"{prefix}milonga_said=")]
        other = "milonga_said=planted" if prefix else "__Host-milonga_said=planted"
        assert "planted" not in at(console, "/you", host, cookie=f"{cookie}; {other}").text
