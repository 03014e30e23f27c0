"""Which pages may send, and what lets them read the answer (CORS). Both front ends."""

import json
from http.client import HTTPConnection
from typing import Any

import pytest

from milonga.collector.connection import Patience
from milonga.collector.origins import MAX_AGE, allows, preflight, shared_with
from milonga.spec.limits import MAX_REQUEST
from tests.collector.parts import BASIC, EVENT, KEY, Answered, Bench, Front, Server, send, talk, track

SITE = "https://www.example.com"
ASKS = {"Origin": SITE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
TRACKING = ["/v1/t", "/v1/track", "/v1/b", "/v1/batch", "/v1/import", "/v1/m", "/v1/pixel/track"]


@pytest.fixture(params=["asgi", "own", "uvloop"])
def front(request: pytest.FixtureRequest) -> Front:
    kind: Front = request.param
    return kind


def cors(answer: Answered) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def names(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",")}


def assert_readable(answer: Answered, origin: str = SITE) -> None:
    assert cors(answer) == {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "Retry-After, X-RateLimit-Reset",
    }
    assert answer.headers["vary"] == "Origin"


def post(server: Server, origin: str | None = SITE, path: str = "/v1/t", body: bytes = EVENT, **more: str) -> Answered:
    headers = {"Authorization": BASIC, **more}
    return send(server, "POST", path, body, headers if origin is None else {**headers, "Origin": origin})


@pytest.mark.parametrize("path", TRACKING)
def test_a_preflight_allows_what_the_library_sends(front: Front, path: str) -> None:
    with Bench().listening(front) as server:
        answer = send(
            server, "OPTIONS", path, headers={**ASKS, "Access-Control-Request-Headers": "authorization,x-retry-count"}
        )
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == SITE
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-allow-methods"] == "POST"
        assert names(answer.headers["access-control-allow-headers"]) == {
            "authorization",
            "content-type",
            "x-retry-count",
        }
        assert int(answer.headers["access-control-max-age"]) == MAX_AGE >= 600


def test_a_preflight_allows_headers_that_a_site_has_the_library_send() -> None:
    allowed = dict(preflight(b"x-tenant, Authorization,x-trace").headers)[b"access-control-allow-headers"].decode()
    assert names(allowed) == {"authorization", "content-type", "x-retry-count", "x-tenant", "x-trace"}
    for odd in (b"x\r\nset-cookie: a", b"x" * 5000, b"\xff", b"x:y"):
        allowed = dict(preflight(odd).headers)[b"access-control-allow-headers"].decode()
        assert names(allowed) == {"authorization", "content-type", "x-retry-count"}


def test_the_connection_is_kept_after_a_preflight(front: Front) -> None:
    bench = Bench()
    with bench.listening(front) as server:
        connection = HTTPConnection(server.host, server.port, timeout=10)
        connection.request("OPTIONS", "/v1/t", headers=ASKS)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")
        link = connection.sock
        connection.request("POST", "/v1/t", EVENT, {"Origin": SITE, "Authorization": BASIC})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"success": true}')
        assert connection.sock is link
        connection.close()
    assert len(bench.events) == 1


def test_a_page_may_read_the_answer_whatever_it_is(front: Front) -> None:
    bench = Bench(max_held=100_000)
    with bench.listening(front) as server:
        for answer, status in (
            (post(server), 200),
            (post(server, path="/v1/m"), 200),
            (post(server, body=b"{"), 400),
            (post(server, Authorization="Basic bm9ib2R5Og=="), 401),
            (send(server, "PUT", "/v1/t", headers={"Origin": SITE}), 405),
            (
                send(
                    server, "POST", "/v1/t", EVENT, {"Origin": SITE, "Authorization": BASIC, "Content-Encoding": "br"}
                ),
                415,
            ),
            (post(server, body=b" " * 200_000), 503),
        ):
            assert answer.status == status
            assert_readable(answer)
        bench.log.full = True
        full = post(server)
        assert full.status == 503
        assert int(full.headers["retry-after"]) > 0
        assert_readable(full)


@pytest.mark.parametrize("front", ["own", "uvloop"])
def test_a_page_may_also_read_why_its_request_was_not_even_taken(front: Front) -> None:
    quick = Patience(head=0.1, stall=0.1, idle=5, linger=0.1, tick=0.02)
    head = b"POST /v1/t HTTP/1.1\r\nHost: x\r\nOrigin: https://www.example.com\r\nContent-Length: %d\r\n\r\n"
    line = b"\r\naccess-control-allow-origin: https://www.example.com\r\n"
    with Bench().listening(front, patience=quick) as server:
        slow = talk(server, head % 5)
        assert slow.startswith(b"HTTP/1.1 503 ")
        assert line in slow
        large = talk(server, head % (MAX_REQUEST + 1))
        assert large.startswith(b"HTTP/1.1 400 ")
        assert line in large


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/analytics.js/v1/k/analytics.min.js", "/v1/other"])
def test_other_paths_are_not_for_pages_of_other_sites(front: Front, path: str) -> None:
    with Bench().listening(front) as server:
        for method in ("GET", "OPTIONS", "POST"):
            answer = send(server, method, path, headers=ASKS)
            assert cors(answer) == {}
            assert answer.status != 204


@pytest.mark.parametrize("path", ["/v1/projects/k/settings", "/projects/k/settings", "//v1/projects/k/settings/"])
def test_the_settings_may_be_read_by_any_page_and_kept_by_any_cache(front: Front, path: str) -> None:
    with Bench().listening(front) as server:
        for headers in ({}, {"Origin": SITE}, {"Origin": "https://other.example"}):
            answer = send(server, "GET", path, headers=headers)
            assert cors(answer) == {"access-control-allow-origin": "*"}
            assert "vary" not in answer.headers


def test_a_server_is_not_told_about_pages(front: Front) -> None:
    bench = Bench()
    bench.set(origins=("https://only.example",))
    with bench.listening(front) as server:
        answer = post(server, None)
        assert answer.status == 200
        assert cors(answer) == {}
        assert "vary" not in answer.headers


def test_an_event_from_a_site_that_is_not_allowed_is_refused_unreadably_and_counted(front: Front) -> None:
    bench = Bench()
    bench.set(origins=("https://www.example.com", "https://*.shop.example"))
    with bench.listening(front) as server:
        for origin in (
            "https://evil.example",
            "http://www.example.com",
            "https://shop.example",
            "null",
            "nonsense",
            "",
        ):
            answer = post(server, origin)
            assert (answer.status, answer.code) == (403, "origin_not_allowed"), origin
            assert cors(answer) == {}
        assert bench.events == []
        assert bench.collector.counts["origin_not_allowed"] == 6
        for origin in ("https://www.example.com", "https://a.b.shop.example"):
            answer = post(server, origin)
            assert answer.status == 200
            assert_readable(answer, origin)
    assert len(bench.events) == 1


def test_what_a_site_may_not_send_is_in_the_books() -> None:
    bench = Bench()
    bench.set(origins=(SITE,))
    body = {"batch": [track(), track(messageId="m2"), {"type": "nope"}]}
    answer = bench.post("/v1/b", body, headers={"origin": "https://evil.example"})
    assert (answer.status, answer.code) == (403, "origin_not_allowed")
    assert bench.codes == ["origin_not_allowed"] * 3
    assert "https://evil.example" in bench.ledger.discards[0].reason
    assert b"Paid" in bench.ledger.discards[0].excerpt


def test_the_key_in_the_body_is_held_to_its_sources_sites_too() -> None:
    bench = Bench()
    bench.set("second", origins=(SITE,))
    for origin, status in (("https://evil.example", 403), (SITE, 200)):
        answer = bench.post("/v1/t", track(writeKey="second"), key=None, headers={"origin": origin})
        assert answer.status == status


def test_a_preflight_is_refused_if_no_source_takes_the_site(front: Front) -> None:
    asked: list[str] = []

    def allows_origin(origin: str) -> bool:
        asked.append(origin)
        return origin == SITE

    bench = Bench(allows_origin=allows_origin)
    with bench.listening(front) as server:
        assert send(server, "OPTIONS", "/v1/t", headers=ASKS).status == 204
        refused = send(server, "OPTIONS", "/v1/t", headers={**ASKS, "Origin": "https://evil.example"})
        assert (refused.status, refused.code) == (403, "origin_not_allowed")
        assert cors(refused) == {}
    assert asked == [SITE, "https://evil.example"]
    assert bench.collector.counts["origin_not_allowed"] == 1


@pytest.mark.parametrize(
    ("rule", "origin", "fits"),
    [
        ("https://www.example.com", "https://www.example.com", True),
        ("https://www.example.com", "https://WWW.example.com", True),
        ("https://www.example.com", "https://www.example.com:443", True),
        ("https://www.example.com", "https://www.example.com:8443", False),
        ("https://www.example.com", "https://example.com", False),
        ("http://localhost:3000", "http://localhost:3000", True),
        ("http://localhost:3000", "http://localhost", False),
        ("https://*.example.com", "https://a.example.com", True),
        ("https://*.example.com", "https://a.b.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://badexample.com", False),
        ("https://*.example.com", "https://example.com.evil.net", False),
        ("https://*.example.com", "http://a.example.com", False),
        ("https://*.example.com:8443", "https://a.example.com:8443", True),
        ("https://*.example.com:8443", "https://a.example.com", False),
        ("http://[::1]:3000", "http://[::1]:3000", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("null", "null", True),
        ("https://www.example.com", "null", False),
        ("https://www.example.com", "", False),
    ],
)
def test_which_sites_a_rule_allows(rule: str, origin: str, fits: bool) -> None:
    assert allows((rule,), origin) is fits
    assert allows(("https://another.example", rule), origin) is fits


def test_no_rules_allow_any_site() -> None:
    assert allows((), "null")


@pytest.mark.parametrize(
    "origin", [b"a b", b"https://x\r\nset-cookie: a", b"https://" + b"x" * 300, b"", b"\xff", b"x"]
)
def test_what_is_no_origin_is_never_echoed(origin: bytes) -> None:
    assert shared_with(origin) is None


def test_every_letter_of_the_captured_preflights_is_granted(front: Front) -> None:
    """As Chromium asked for analytics.js 1.84.3, first try and retry."""
    bench = Bench()
    with bench.listening(front) as server:
        for letter in "tpigas":
            for asked in ("authorization", "authorization,x-retry-count"):
                headers: dict[str, Any] = {
                    **ASKS,
                    "Access-Control-Request-Headers": asked,
                    "Origin": "http://localhost:5000",
                }
                answer = send(server, "OPTIONS", f"/v1/{letter}", headers=headers)
                assert answer.status == 204
                assert set(asked.split(",")) <= names(answer.headers["access-control-allow-headers"])
        body = json.dumps(track(writeKey=KEY)).encode()
        answer = send(server, "POST", "/v1/t", body, {"Origin": "http://localhost:5000", "Content-Type": "text/plain"})
        assert answer.status == 200
