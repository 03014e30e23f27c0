"""What the API answers to whom, over HTTP: who is let in, what is refused and how it is told, pages, limits."""

import asyncio
import contextlib
import socket
import threading
from base64 import urlsafe_b64encode
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from milonga.api import app, paging
from milonga.api.problem import VERSION, Problem
from milonga.api.route import MOST
from milonga.api.table import PREFIX, ROUTES
from milonga.spec.stored import Stamped
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.api.serving import Served, problem
from tests.cli.filled import EVENTS, HUSH
from tests.delivery import paper


def test_a_stranger_is_told_how_to_get_a_token(api: Served) -> None:
    answer = api.ask("GET", "/sources", role=None)
    assert "milonga tokens create" in problem(answer, 401, "no_token")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("given", ["Bearer nonsense", "Basic ZGVtbzo=", "Bearer", "Bearer " + "x" * 5_000, "Bearer é"])
def test_a_wrong_token_is_refused(given: str, api: Served) -> None:
    answer = api.ask("GET", "/sources", role=None, headers={"Authorization": given})
    assert answer.status == 401


def test_a_revoked_token_lets_nobody_in_any_more(api: Served) -> None:
    made = api.ask("POST", "/tokens", {"name": "short", "role": "viewer"}).data
    sent = {"Authorization": f"Bearer {made['token']}"}
    assert api.ask("GET", "/sources", role=None, headers=sent).status == 200
    assert api.ask("DELETE", "/tokens/short").data == {"revoked": "short"}
    problem(api.ask("GET", "/sources", role=None, headers=sent), 401, "unknown_token")


def test_a_cookie_lets_nobody_in_and_none_is_set(api: Served) -> None:
    token = api.tokens[Role.administrator]
    cookie = {"Cookie": f"milonga_session={token}; token={token}"}
    assert api.ask("GET", "/sources", role=None, headers=cookie).status == 401
    assert "set-cookie" not in api.ask("GET", "/sources", headers=cookie).headers


def test_no_answer_is_kept_by_anybody_or_open_to_pages_of_others(api: Served) -> None:
    for role in (None, Role.viewer):
        headers = api.ask("GET", "/sources", role=role, headers={"Origin": "https://evil.example"}).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert not [name for name in headers if name.startswith("access-control-")]
    assert api.ask("OPTIONS", "/sources").status == 405


def test_what_is_not_there_is_told_with_where_to_look(api: Served) -> None:
    assert "openapi.json" in problem(api.ask("GET", "/nothing"), 404, "unknown_route")
    assert "openapi.json" in problem(api.ask("GET", ""), 404, "unknown_route")
    problem(api.ask("GET", "/sources/nobody"), 404, "not_found")
    problem(api.ask("GET", "/destinations/nobody"), 404, "not_found")
    problem(api.ask("GET", "/events/0-99999"), 404, "not_found")
    problem(api.ask("GET", "/events/zero"), 404, "not_found")
    problem(api.ask("GET", f"/replays/{10**40}"), 404, "not_found")


def test_a_wrong_method_is_told_which_there_are(api: Served) -> None:
    answer = api.ask("DELETE", "/sources")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


def test_head_is_get_without_the_body(api: Served) -> None:
    answer = api.ask("HEAD", "/sources")
    assert (answer.status, answer.body) == (200, b"")


def test_what_is_wrong_is_named(api: Served) -> None:
    problem(api.ask("GET", "/sources?count=many"), 422, "invalid_query", "count")
    problem(api.ask("GET", "/sources?count=0"), 422, "invalid_query", "count")
    problem(api.ask("GET", "/sources?cuont=1"), 422, "invalid_query", "cuont")
    problem(api.ask("GET", "/sources?count=1&count=2"), 422, "invalid_query", "count")
    problem(api.ask("GET", "/suppressions"), 422, "invalid_query", "user")
    problem(api.ask("GET", "/events/volume?startTime=never"), 422, "invalid_query", "startTime")
    problem(api.ask("POST", "/sources", {}), 422, "invalid_body", "$.name")
    problem(api.ask("POST", "/sources", {"name": 7}), 422, "invalid_body", "$.name")
    problem(api.ask("POST", "/sources", {"name": "a", "nmae": "b"}), 422, "invalid_body", "$.nmae")
    problem(api.ask("POST", "/sources", {"name": "a b"}), 422, "refused")
    problem(api.ask("POST", "/sources", raw=b"{"), 400, "invalid_json")
    problem(api.ask("PATCH", "/sources/web", {"settings": {"rateLimit": "fast"}}), 422, "refused")


def test_a_body_that_is_no_json_is_told_what_to_say(api: Served) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    problem(api.ask("POST", "/sources", raw=b"name=a", headers=form), 415, "unsupported_media_type")
    packed = {"Content-Encoding": "gzip"}
    problem(api.ask("POST", "/sources", raw=b"\x1f\x8b", headers=packed), 415, "unsupported_encoding")


def test_a_body_that_is_too_large_is_refused(api: Served) -> None:
    body = b'{"name": "' + b"x" * app.MOST_BODY + b'"}'
    problem(api.ask("POST", "/sources", raw=body), 413, "body_too_large")


def test_what_a_batch_says_for_all_its_events_counts_for_each() -> None:
    small = paper.event(1)
    large = Stamped(replace(small.stamp, batch_context=Raw(b'{"a":"%b"}' % (b"x" * (paging.EVENTS // 2)))), b"{}")
    assert paging.whole([small] * 9) == 9
    assert paging.whole([large, small, None]) == 3
    assert paging.whole([large, large, small]) == 1
    assert paging.whole([]) == 0


def test_what_is_taken_already_is_a_conflict(api: Served) -> None:
    problem(api.ask("POST", "/sources", {"name": "web"}), 409, "conflict")
    problem(api.ask("DELETE", "/sources/web"), 409, "conflict")


def everything(api: Served, path: str, count: int) -> list[Any]:
    """All pages, one after the other."""
    found: list[Any] = []
    mark = "&" if "?" in path else "?"
    cursor = ""
    while True:
        answer = api.ask("GET", f"{path}{mark}count={count}&cursor={cursor}").json
        assert len(answer["data"]) <= count
        found += answer["data"]
        cursor = answer["pagination"]["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/events", 7),
        ("/stories?account=acme", 3),
        ("/destinations?removed=true", 1),
        ("/destinations/totango/history", 1),
        ("/dead-letters", 1),
        ("/catalog/destinations", 2),
        ("/tokens", 2),
        ("/audit", 3),
        ("/delivery-overview/successfully-received?groupBy=source&startTime=1970-01-01", 1),
        ("/sources/web/connected-destinations", 1),
    ],
)
def test_pages_one_after_the_other_are_the_whole_list(path: str, count: int, api: Served) -> None:
    assert everything(api, path, count) == everything(api, path, 1_000)


@pytest.mark.parametrize("path", ["/dead-letters?events=true", "/stories?account=acme"])
def test_events_are_told_whole_only_as_far_as_they_fit_into_a_page(
    path: str, api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = everything(api, path, MOST)
    assert len(whole) > 1
    monkeypatch.setattr(paging, "EVENTS", 1)
    answer = api.ask("GET", f"{path}&count={MOST}").json
    assert len(answer["data"]) == 1
    assert answer["pagination"]["next"]
    assert everything(api, path, MOST) == whole


def test_all_events_come_by_pages_newest_first(api: Served) -> None:
    offsets = [one["position"]["offset"] for one in everything(api, "/events", 50)]
    assert offsets == list(range(EVENTS, 0, -1))


def test_a_search_says_how_much_of_the_log_it_has_passed_by(api: Served) -> None:
    page = api.ask("GET", "/events?type=alias").json
    assert page["data"] == []
    assert page["pagination"] == {"count": 0, "next": None, "looked": EVENTS, "until": None, "last": None}
    page = api.ask("GET", "/events?type=track&count=10").json["pagination"]
    assert (page["looked"], page["until"], page["last"]) == (10, None, EVENTS - 9)


TOO_LARGE = urlsafe_b64encode(b"[1,9223372036854775808]").rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor", ["nonsense", "MTIz", "W10", "bnVsbA", "é", "%00", "A" * 4_096, "WzEsMiwtM10", TOO_LARGE]
)
def test_a_cursor_that_no_page_gave_is_refused(cursor: str, api: Served) -> None:
    for path in ("/events", "/audit"):
        answer = api.ask("GET", f"{path}?cursor={cursor.replace('é', '%C3%A9')}")
        problem(answer, 422, "invalid_query", "cursor")


def test_a_secret_is_in_no_answer(api: Served) -> None:
    for path in ("/destinations/totango", "/destinations/totango/history", "/audit?count=1000", "/destinations"):
        assert HUSH.encode() not in api.ask("GET", path).body


def test_a_body_that_never_comes_ends_by_itself(monkeypatch: pytest.MonkeyPatch, api: Served) -> None:
    monkeypatch.setattr(app, "BODY_TIME", 0.05)
    with contextlib.closing(socket.create_connection(("127.0.0.1", api.port), timeout=60)) as sender:
        token = api.tokens[Role.editor]
        head = f"POST {PREFIX}/sources HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        sender.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{".encode())
        assert sender.recv(100).startswith(b"HTTP/1.1 408 ")


def test_requests_beyond_what_one_token_may_have_under_way_are_told_to_wait(
    monkeypatch: pytest.MonkeyPatch, api: Served
) -> None:
    monkeypatch.setattr(app, "OF_ONE", 0)
    answer = api.ask("GET", "/sources")
    assert "Retry-After" in problem(answer, 429, "busy")
    assert answer.headers["retry-after"] == "1"


def test_strangers_leave_room_to_those_who_are_let_in(monkeypatch: pytest.MonkeyPatch, api: Served) -> None:
    monkeypatch.setattr(app, "UNKNOWN", 0)
    problem(api.ask("GET", "/sources", role=None), 429, "busy")


def test_strangers_who_fill_their_room_keep_out_nobody_who_was_let_in_before(
    monkeypatch: pytest.MonkeyPatch, api: Served
) -> None:
    with Workspace.open(api.data) as workspace:
        _, token = workspace.tokens.create("soon-revoked", Role.viewer)
    headers = {"Authorization": f"Bearer {token}"}
    assert api.ask("GET", "/sources", role=None, headers=headers).status == 200
    assert api.ask("GET", "/sources", role=Role.viewer).status == 200
    monkeypatch.setattr(app, "UNKNOWN", 0)
    stranger = api.ask("GET", "/sources", role=None, headers={"Authorization": "Bearer nonsense"})
    problem(stranger, 429, "busy")
    assert VERSION.lower() not in stranger.headers
    assert api.ask("GET", "/sources", role=Role.viewer).status == 200
    assert api.ask("GET", "/sources", role=None, headers=headers).status == 200
    with Workspace.open(api.data) as workspace:
        workspace.tokens.revoke("soon-revoked")
    problem(api.ask("GET", "/sources", role=None, headers=headers), 401, "unknown_token")
    problem(api.ask("GET", "/sources", role=None, headers=headers), 429, "busy")


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, api: Served) -> None:
    monkeypatch.setattr(app, "ANSWER_TIME", 0.0)
    problem(api.ask("GET", "/sources"), 503, "too_slow")


def test_what_was_given_up_before_it_began_is_not_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = app.Api(tmp_path)
    route = next(one for one in ROUTES if one.slow)
    go_on = threading.Event()
    done: list[str] = []

    def long() -> bytes:
        go_on.wait(60)
        return b""

    def short() -> bytes:
        done.append("done")
        return b""

    async def ask() -> None:
        monkeypatch.setattr(app, "ANSWER_TIME", 0.05)
        long_ones = [asyncio.ensure_future(api._run(long, route)) for _ in range(app.SLOW_THREADS)]
        await asyncio.sleep(0)  # they take the threads
        with pytest.raises(Problem, match="longer than"):
            await api._run(short, route)
        await asyncio.wait(long_ones)
        assert all(isinstance(one.exception(), Problem) for one in long_ones)
        monkeypatch.setattr(app, "ANSWER_TIME", 60.0)
        go_on.set()
        await api._run(lambda: b"", route)  # behind whatever still waits

    try:
        asyncio.run(ask())
    finally:
        go_on.set()
        api.close()
    assert not done


def test_a_path_that_is_no_text_is_told_so(api: Served) -> None:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=60)
    with contextlib.closing(connection):
        sent = {"Authorization": f"Bearer {api.tokens[Role.viewer]}"}
        connection.request("GET", f"{PREFIX}/sources/%ff", headers=sent)
        assert connection.getresponse().status == 404
