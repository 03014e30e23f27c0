"""Whatever is sent, the answer says what is wrong with it, and is never a 500."""

import asyncio
import json
import string
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from structlog.testing import capture_logs

from milonga.api import app
from milonga.api.problem import Problem
from milonga.api.route import Route
from milonga.api.table import PREFIX, ROUTES
from milonga.workspace.roles import Role
from tests.api.serving import Served

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["web", "totango", "demo", "0-7", "1", "-1", "", "..", "\0", "\ud800", "💃" * 5, "x" * 3_000]),
    st.sampled_from(["' OR 1=1 --", "<script>alert(1)</script>", "{{7*7}}", "%s%n", "9" * 400, "1e999", "NaN", "null"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
ONCE = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def names_of(kind: Any) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


@st.composite
def requests(draw: st.DrawFn) -> tuple[Route, str, bytes | None]:
    """Nearly right: of a route there is, with its own names for whatever stands there."""
    route = draw(st.sampled_from(ROUTES))
    parts = [
        quote(draw(TEXTS).encode(errors="replace"), safe="") if part.startswith("{") else part
        for part in route.path.split("/")
    ]
    fields = [*names_of(route.query), "count", "cursor", "x"]
    asked = draw(st.dictionaries(st.sampled_from(fields), TEXTS, max_size=4))
    query = urlencode({name: value.encode(errors="replace") for name, value in asked.items()})
    body = None
    if route.body is not None:
        body = draw(st.one_of(st.binary(max_size=30), _bodies(route.body)))
    return route, "/".join(parts) + (f"?{query}" if query else ""), body


def _bodies(kind: Any) -> st.SearchStrategy[bytes]:
    shaped = st.dictionaries(st.sampled_from([*names_of(kind), "x"]), VALUES, max_size=5)
    return st.one_of(VALUES, shaped).map(lambda value: json.dumps(value).encode())


@ONCE
@given(asked=requests())
def test_whatever_is_sent_is_never_answered_with_a_500(api: Served, asked: tuple[Route, str, bytes | None]) -> None:
    route, path, body = asked
    answer = api.ask(route.method, path, raw=body)
    assert answer.status < 500 or answer.json["code"] == "too_slow", (route.name, path, body, answer.body)
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["detail"]
    else:
        assert "data" in answer.json


@ONCE
@given(
    path=st.text(alphabet=string.printable, max_size=40).map(lambda text: quote(text, safe="/%?&=.;:@+,$!*'()~-_")),
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"]),
)
def test_no_path_is_answered_with_a_500(api: Served, path: str, method: str) -> None:
    assert api.ask(method, f"/{path}", role=Role.viewer).status < 500


def test_the_prefix_is_what_clients_are_told() -> None:
    assert PREFIX == "/api/v1"


def test_a_workspace_that_cannot_be_read_lets_strangers_fill_no_log(tmp_path: Path) -> None:
    (tmp_path / "workspace.db").write_bytes(b"no database " * 1_000)
    api = app.Api(tmp_path)
    lines = [(b"authorization", b"Bearer mlg_" + b"x" * 43)]
    try:
        with capture_logs() as said:
            for _ in range(3):
                with pytest.raises(Problem) as told:
                    asyncio.run(api._answer(Request({"type": "http", "method": "GET", "headers": lines})))
                assert (told.value.status, told.value.code) == (503, "unavailable")
                assert str(tmp_path) not in told.value.detail
    finally:
        api.close()
    (one,) = said
    assert one["event"] == "api.cannot_look_up_tokens"
    assert "Put back a copy" in one["error"]
