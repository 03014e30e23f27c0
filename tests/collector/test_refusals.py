"""What is refused at the door leaves a trace: counts for the books, and now and then a warning."""

import asyncio
import base64
import gzip
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from milonga.collector import answers
from milonga.collector.answers import Answer
from milonga.collector.refusals import HELP, HOUR, LATEST, LONGEST, Refusals, shown
from milonga.eventlog.api import Refusal
from milonga.identity.new_accounts import NewAccounts
from milonga.spec.limits import MAX_REQUEST
from tests.clocks import Still
from tests.collector.parts import BASIC, EVENT, NOW, Bench, Front, RecordingLedger, send, source, talk, track

SITE = "https://www.example.com"
EVIL = "https://evil.example"
NOISE = {"invalid_http", "invalid_host", "slow_headers", "method_not_allowed"}
OURS = {"not_ready", "stopping", "trouble"}


@pytest.fixture(params=["asgi", "own"])
def front(request: pytest.FixtureRequest) -> Front:
    front: Front = request.param
    return front


def told(bench: Bench) -> list[tuple[int, str, int]]:
    """What the ledger has heard since it was asked last."""
    bench.collector.tell_refused()
    found = [(one.source, one.code, one.count) for one in bench.ledger.refusals]
    bench.ledger.refusals.clear()
    return sorted(found)


def warned(bench: Bench) -> list[Any]:
    with capture_logs() as said:
        bench.collector.tell_refused()
    return [one for one in said if one["event"] == "refused"]


def preflight(bench: Bench, origin: str) -> int:
    headers = {"origin": origin, "access-control-request-method": "POST"}
    return asyncio.run(bench.ask("OPTIONS", "/v1/t", key=None, headers=headers)).status


def test_every_code_of_an_answer_is_told_or_known_to_be_none_of_the_senders_events() -> None:
    codes = {answer.code for answer in vars(answers).values() if isinstance(answer, Answer)} - {""}
    assert (codes | {"invalid_json"}) - NOISE - OURS == set(HELP)


def test_an_unknown_key_is_counted_and_its_beginning_told_with_the_sender() -> None:
    bench = Bench()
    assert bench.post("/v1/t", track(), key="WK_mistyped_secret").status == 401
    assert bench.post("/v1/t", track(writeKey="WK_other"), key=None).status == 401
    (warning,) = warned(bench)
    assert (warning["log_level"], warning["code"], warning["source"]) == ("warning", "unknown_write_key", None)
    assert warning["requests"] == 2
    assert warning["latest"] == ["WK_mis... from 192.0.2.1", "WK_oth... from 192.0.2.1"]
    assert "milonga sources list" in warning["help"]
    assert "secret" not in repr(warning)
    assert bench.ledger.refusals == [Refusal(source=0, at=int(NOW * 1000), code="unknown_write_key", count=2)]


def test_a_key_that_has_ended_is_told_so_and_counted_for_its_source() -> None:
    for accept, status in ((False, 401), (True, 200)):
        bench = Bench(accept_unknown=accept, ended={"old": source(7, "new")}.get)
        for body, key in ((track(), "old"), (track(writeKey="old"), None)):
            answer = bench.post("/v1/t", body, key=key)
            assert answer.status == status
            assert accept or answer.code == "write_key_ended"
        assert told(bench) == [(7, "write_key_ended", 2)]
        assert bench.log.events == []


def test_what_is_answered_with_200_and_thrown_away_is_counted_too() -> None:
    bench = Bench(accept_unknown=True)
    assert bench.post("/v1/t", track(), key="nope").status == 200
    assert asyncio.run(bench.ask("GET", "/v1/pixel/track?writeKey=nope&userId=u&event=e", key=None)).status == 200
    assert asyncio.run(bench.ask("GET", "/v1/pixel/track?userId=u&event=e", key=None)).status == 200
    assert told(bench) == [(0, "missing_write_key", 1), (0, "unknown_write_key", 2)]


def test_a_page_that_stops_at_its_preflight_is_counted_and_its_origin_told() -> None:
    bench = Bench(allows_origin=lambda origin: origin == SITE)
    assert [preflight(bench, origin) for origin in (SITE, EVIL, EVIL)] == [204, 403, 403]
    (warning,) = warned(bench)
    assert (warning["code"], warning["source"], warning["requests"]) == ("origin_not_allowed", None, 2)
    assert warning["latest"] == [EVIL]
    assert "origins=" in warning["help"]
    assert told(bench) == [(0, "origin_not_allowed", 2)]
    bench.set(origins=(SITE,))
    assert bench.post("/v1/t", track(), headers={"origin": EVIL}).status == 403
    assert told(bench) == [(1, "origin_not_allowed", 1)]


def test_requests_over_the_limit_are_counted_for_their_source() -> None:
    bench = Bench(monotonic=Still(1000.0))
    bench.set("second", rate_limit=1)
    answered = [bench.post("/v1/t", track(messageId=f"m{n}"), key="second").status for n in range(13)]
    assert answered == [200] * 10 + [429] * 3
    (warning,) = warned(bench)
    assert (warning["code"], warning["source"], warning["requests"]) == ("rate_limited", "source-2", 3)
    assert "rateLimit=" in warning["help"]
    assert bench.ledger.refusals == [Refusal(source=2, at=int(NOW * 1000), code="rate_limited", count=3)]


def test_a_pixel_over_the_limit_is_in_the_books_once() -> None:
    bench = Bench(monotonic=Still(1000.0))
    bench.set(rate_limit=1)
    for number in range(12):
        path = f"/v1/pixel/track?userId=u&event=e&messageId={number}"
        assert asyncio.run(bench.ask("GET", path)).status == 200
    assert bench.codes == ["rate_limited"] * 2
    assert told(bench) == []


def test_bodies_that_cannot_be_taken_are_counted_by_their_code(front: Front) -> None:
    bench = Bench()
    basic = {"Authorization": "Basic " + base64.b64encode(b"second:").decode()}
    with bench.listening(front) as server:
        for body, headers, code in (
            (b"nonsense", {}, "invalid_json"),
            (b"nonsense", {"Content-Encoding": "gzip"}, "invalid_gzip"),
            (b"nonsense", {"Content-Encoding": "br"}, "unsupported_encoding"),
            (gzip.compress(b" " * (MAX_REQUEST + 1)), {"Content-Encoding": "gzip"}, "body_too_large"),
        ):
            assert send(server, "POST", "/v1/t", body, {**basic, **headers}).code == code
        assert send(server, "POST", "/v1/t", EVENT).code == "missing_write_key"
        head = b"POST /v1/t HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MAX_REQUEST + 1)
        assert b"body_too_large" in talk(server, head)
        (warning,) = [one for one in warned(bench) if one["code"] == "missing_write_key"]
    assert warning["latest"] == ["127.0.0.1"]
    found = [(one.code, one.count) for one in bench.ledger.refusals]
    assert sorted(found) == [
        ("body_too_large", 2),
        ("invalid_gzip", 1),
        ("invalid_json", 1),
        ("missing_write_key", 1),
        ("unsupported_encoding", 1),
    ]


def test_an_sdk_that_sends_to_a_wrong_path_is_counted_and_the_path_told(front: Front) -> None:
    bench = Bench()
    with bench.listening(front) as server:
        assert send(server, "POST", "/v1/v1/batch?secret", EVENT, {"Authorization": BASIC}).code == "not_found"
        assert send(server, "OPTIONS", "/t", headers={"Origin": SITE}).code == "not_found"
        assert send(server, "GET", "/favicon.ico").code == "not_found"
        assert send(server, "PUT", "/v1/track", EVENT).code == "method_not_allowed"
        (warning,) = warned(bench)
    assert (warning["code"], warning["requests"]) == ("not_found", 2)
    assert warning["latest"] == ["/v1/v1/batch from 127.0.0.1", "/t from 127.0.0.1"]
    assert [(one.source, one.code, one.count) for one in bench.ledger.refusals] == [(0, "not_found", 2)]
    assert bench.collector.counts["refused"] == 2


def test_headers_beyond_all_bounds_are_counted_and_what_is_no_http_is_not() -> None:
    bench = Bench()
    with bench.listening("own") as server:
        many = b"".join(b"X-%d: 1\r\n" % number for number in range(80))
        assert b"431" in talk(server, b"POST /v1/t HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
        assert b"400" in talk(server, b"\x16\x03\x01 no HTTP at all\r\n\r\n")
    assert told(bench) == [(0, "headers_too_large", 1)]


def test_what_there_is_no_room_for_is_counted() -> None:
    bench = Bench(max_held=2_000)
    assert bench.post("/v1/t", track(properties={"filler": "x" * 2_000})).code == "busy"
    bench.log.full = True
    assert bench.post("/v1/t", track()).code == "log_full"
    assert told(bench) == [(0, "busy", 1), (0, "log_full", 1)]


def test_what_is_kept_is_not_counted_here() -> None:
    bench = Bench()
    assert bench.post("/v1/b", {"batch": [track(), {"type": "nope"}]}).status == 200
    assert told(bench) == []
    assert warned(bench) == []


def test_the_log_is_told_at_once_and_then_once_an_hour_for_each_code_and_source() -> None:
    clock = Still(1000.0)
    bench = Bench(monotonic=clock)
    bench.post("/v1/t", track(), key="first-one")
    assert [one["requests"] for one in warned(bench)] == [1]
    for _ in range(7):
        bench.post("/v1/t", track(), key="another-one")
    bench.post("/v1/t", track(), key=None)
    assert [one["code"] for one in warned(bench)] == ["missing_write_key"]
    clock.at += HOUR - 1
    assert warned(bench) == []
    clock.at += 1
    (later,) = warned(bench)
    assert (later["code"], later["requests"]) == ("unknown_write_key", 7)
    assert later["latest"] == ["anothe... from 192.0.2.1"]
    assert sum(one.count for one in bench.ledger.refusals) == 9


def test_what_is_remembered_of_strangers_is_bounded_and_the_latest_stay() -> None:
    refusals, ledger = Refusals(Still(1000.0)), RecordingLedger()
    for number in range(1_000):
        refusals.add("unknown_write_key", sender=f"key-{number}")
    refusals.add("unknown_write_key", sender=f"key-{1_000 - LATEST}")
    with capture_logs() as said:
        refusals.tell(ledger, 0)
    assert said[0]["latest"] == [*(f"key-{1_000 - LATEST + n}" for n in range(1, LATEST)), f"key-{1_000 - LATEST}"]
    assert ledger.refusals == [Refusal(source=0, at=0, code="unknown_write_key", count=1_001)]


HOSTILE = "\x1b[31m\nred\u202e\x9b"


def test_nothing_a_sender_says_reaches_the_log_raw() -> None:
    bench = Bench(allows_origin=lambda _: False)
    body = msgspec.json.encode(track(writeKey=HOSTILE))
    assert bench.post("/v1/t", body, key=None).status == 401
    assert preflight(bench, "https://\x1b[31m\x9b" + "x" * 1_000) == 403
    for warning in warned(bench):
        for said in warning["latest"]:
            assert said.isascii()
            assert said.isprintable()
            assert len(said) <= 10 * LONGEST
    assert shown("x" * 1_000) == "x" * LONGEST + "..."


def test_neither_does_a_new_account_nor_the_query_of_a_request_that_failed() -> None:
    accounts = NewAccounts()
    accounts.know(accounts.filter_of([]))
    bench = Bench(accounts=accounts)
    bench.set(new_accounts_alarm=1)
    with capture_logs() as said:
        assert bench.post("/v1/t", track(context={"groupId": HOSTILE})).status == 200
    assert [one["newest"] for one in said] == [shown(HOSTILE)]
    bench.log.broken = True
    with capture_logs() as said, bench.listening("own") as server:
        assert send(server, "POST", "/v1//t?userId=ada", EVENT, {"Authorization": BASIC}).code == "trouble"
    assert [one["path"] for one in said if one["event"] == "request_failed"] == ["/v1//t"]
