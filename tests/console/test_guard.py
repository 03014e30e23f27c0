"""What is refused before a page sees it, asked of the application by hosts and schemes that no socket of a test has."""

import asyncio
from collections.abc import Mapping

import pytest
from starlette.applications import Starlette

from milonga.console.app import make_app
from milonga.console.config import Config
from milonga.console.door import WorkspaceDoor
from milonga.workspace.store import Workspace
from tests.console.asgi import Got, ask

PUBLIC = "milonga.example.com"
FORM = {"name": "ada", "password": "not the password"}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    """Behind a proxy that has TLS."""
    data = tmp_path_factory.mktemp("guard")
    Workspace.open(data).close()
    config = Config(data=data, events_url="", names=(PUBLIC,), secure=True, url=f"https://{PUBLIC}")
    return make_app(config, WorkspaceDoor(data))


def posted(console: Starlette, headers: Mapping[str, str], path: str = "/login") -> Got:
    return asyncio.run(ask(console, "POST", path, form=FORM, headers=headers))


@pytest.mark.parametrize(
    ("host", "origin", "ours"),
    [
        (PUBLIC, f"https://{PUBLIC}", True),
        (PUBLIC, f"http://{PUBLIC}", False),
        (PUBLIC, f"https://{PUBLIC}:8443", False),
        (PUBLIC, "https://evil.example", False),
        (PUBLIC, "null", False),
        (PUBLIC, f"https://{PUBLIC}@evil.example", False),
        ("localhost:8081", "http://localhost:8081", True),
        ("localhost:8081", f"https://{PUBLIC}", False),
    ],
)
def test_a_form_comes_from_a_page_of_ours_by_https_where_we_are_reached_so(
    console: Starlette, host: str, origin: str, ours: bool
) -> None:
    answer = posted(console, {"Host": host, "Origin": origin})
    assert answer.status == 403, "if ours, the log-in itself says no"
    assert ("not by one of ours" not in answer.text) is ours


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": PUBLIC, "Origin": "https://evil.example"}, 403),
        ({"Host": PUBLIC, "Content-Length": "99999999999"}, 413),
        ({"Host": PUBLIC, "Content-Length": "\N{SUPERSCRIPT TWO}"}, 413),
    ],
)
def test_what_is_refused_at_the_door_is_kept_by_nobody_and_taken_for_nothing_else(
    console: Starlette, headers: Mapping[str, str], status: int
) -> None:
    answer = posted(console, headers)
    assert answer.status == status
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "strict-transport-security" in answer.headers


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "idna", "nothing"])
def test_forms_of_another_encoding_are_not_read(console: Starlette, charset: str) -> None:
    kind = f"multipart/form-data; charset={charset}; boundary=x"
    answer = posted(console, {"Host": PUBLIC, "Content-Type": kind})
    assert (answer.status, "UTF-8" in answer.text) == (415, True)


def test_two_hosts_are_none(console: Starlette) -> None:
    answer = asyncio.run(ask(console, "GET", "/login", headers={"Host": PUBLIC}, also=(("host", "evil.example"),)))
    assert answer.status == 421


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("multipart/form-data", b"x", "Missing boundary"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 2_001), "Too many fields"),
        ("application/x-www-form-urlencoded", b"a=" + b"b" * 2_100_000, "too much for one form"),
    ],
)
def test_a_form_that_is_none_or_too_long_is_told_on_a_page(
    console: Starlette, kind: str, body: bytes, says: str
) -> None:
    headers = {"Host": PUBLIC, "Content-Type": kind}
    answer = asyncio.run(ask(console, "POST", "/login", headers=headers, body=body))
    assert answer.status in (400, 413)
    assert says in answer.text
    assert "<html" in answer.text
