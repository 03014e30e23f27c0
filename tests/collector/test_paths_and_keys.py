"""Where events are taken, and by which key."""

import asyncio
import base64
from typing import Any, get_args

import msgspec
import pytest

from milonga.collector.answers import NO_WRITE_KEY, UNKNOWN_WRITE_KEY
from milonga.collector.request import Request
from milonga.collector.routes import Route, route_of
from milonga.spec.event import EventType
from tests.collector.parts import KEY, Bench, talk, track

EVENT = {"userId": "u", "anonymousId": "a", "event": "Paid", "groupId": "g", "previousId": "p", "messageId": "m"}
TYPES: tuple[EventType, ...] = get_args(EventType)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("form", ["/v1/{}", "/v1/{}/", "//v1/{}", "/v1//{}//", "/v1/{:.1}", "/v1/{:.1}/"])
def test_a_path_takes_one_event_of_its_type(type_: str, form: str) -> None:
    bench = Bench()
    answer = bench.post(form.format(type_), EVENT)
    assert (answer.status, answer.body) == (200, b'{"success": true}')
    assert [event.type for event in bench.events] == [type_]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/v1/import/", "//v1/import/", "/v1//batch"])
def test_a_path_takes_a_batch(path: str) -> None:
    bench = Bench()
    answer = bench.post(path, {"batch": [{"type": type_, **EVENT, "messageId": type_} for type_ in TYPES]})
    assert (answer.status, answer.body) == (200, b'{"success": true}')
    assert [event.type for event in bench.events] == list(TYPES)


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/track", "/v1/Track", "/v1/track/x", "/v1/pixel/t"])
def test_any_other_path_is_not_found_in_json(path: str) -> None:
    answer = Bench().post(path, EVENT)
    assert (answer.status, answer.code) == (404, "not_found")


def test_the_metrics_of_sdks_are_taken_and_thrown_away() -> None:
    bench = Bench()
    assert bench.post("/v1/m", b'{"series":[', key=None).body == b'{"success": true}'
    assert bench.log.events == []
    assert bench.noticed == [("sdk_metrics", 1)]


# Keys


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()}, track()),
        ({"authorization": "basic   " + base64.b64encode(KEY.encode()).decode()}, track()),
        ({"authorization": "Basic " + base64.b64encode(f"{KEY}:password".encode()).decode()}, track()),
        ({"authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode().rstrip("=")}, track()),
        ({}, track(writeKey=KEY)),
        ({"authorization": "Bearer token"}, track(writeKey=KEY)),
        ({"authorization": "Basic Og=="}, track(writeKey=KEY)),  # ":", an empty user name
        ({"authorization": "Basic "}, track(writeKey=KEY)),
        ({"authorization": "Basic !!!"}, track(writeKey=KEY)),
        ({"authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()}, track(writeKey="another")),
    ],
)
def test_a_single_event_is_let_in_by_its_key(headers: dict[str, str], body: dict[str, Any]) -> None:
    bench = Bench()
    assert bench.post("/v1/track", body, key=None, headers=headers).status == 200
    assert [stamped.stamp.source for stamped in bench.log.events] == [1]


@pytest.mark.parametrize(
    "body",
    [
        {"batch": [track()], "writeKey": "second"},
        {"batch": [track(writeKey="second")]},
        {"batch": [{"type": "nope", "writeKey": "second"}, track(writeKey=KEY)]},
        {"batch": [track(writeKey=KEY)], "writeKey": "second"},
    ],
)
def test_a_batch_is_let_in_by_its_key_or_that_of_its_first_event(body: dict[str, Any]) -> None:
    bench = Bench()
    assert bench.post("/v1/batch", body, key=None, headers={"authorization": "Bearer token"}).status == 200
    assert [stamped.stamp.source for stamped in bench.log.events] == [2]


def test_an_unknown_key_is_refused_and_nothing_kept() -> None:
    for key, body in ((None, track(writeKey="nope")), ("nope", track()), ("nope", track(writeKey=KEY))):
        bench = Bench()
        answer = bench.post("/v1/track", body, key=key)
        assert (answer.status, answer.code) == (401, "unknown_write_key")
        assert bench.log.events == []
        assert bench.noticed == [("unknown_write_key", 1)]


@pytest.mark.parametrize(
    "credentials",
    [
        base64.b64encode(b"k" * 1_000_000),
        base64.b64encode(b"k" * 10_000 + b":"),
        base64.b64encode("é".encode() * 5_000),
        base64.b64encode(bytes(range(256)) * 40),
        b" " * 1_000_000,
        b"=" * 1_000_000,
        b"\xff\xfe" * 1_000,
        b"",
    ],
    ids=lambda credentials: f"{credentials[:8]!r}",
)
def test_no_header_of_whatever_length_or_bytes_makes_trouble(credentials: bytes) -> None:
    bench = Bench()
    route = route_of("POST", "/v1/track")
    assert isinstance(route, Route)
    body = msgspec.json.encode(track())
    answer = asyncio.run(
        bench.collector.handle(route, Request(route, authorization=b"Basic " + credentials, body=body))
    )
    assert answer in (UNKNOWN_WRITE_KEY, NO_WRITE_KEY)
    with bench.listening() as server:
        head = b"POST /v1/t HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic %b\r\n" % credentials
        said = talk(server, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert said.split()[1] in (b"400", b"401", b"431")
    assert bench.collector.counts["trouble"] == 0


@pytest.mark.parametrize("key", ["k" * 10_000, "é" * 10_000, "k" * 1_000_000, "\0", "é"])
def test_no_key_of_whatever_length_or_letters_makes_trouble(key: str) -> None:
    bench = Bench()
    assert bench.post("/v1/track", track(writeKey=key), key=None).status == 401
    assert bench.post("/v1/batch", {"writeKey": key, "batch": [track()]}, key=None).status == 401
    assert bench.post("/v1/batch", track(), key=key).status == 401
    assert bench.log.events == []


def test_an_unknown_key_is_answered_as_segment_does_where_the_switch_says_so() -> None:
    for key, body in ((None, track(writeKey="nope")), ("nope", track())):
        bench = Bench(accept_unknown=True)
        answer = bench.post("/v1/track", body, key=key)
        assert (answer.status, answer.body) == (200, b'{"success": true}')
        assert bench.log.events == []
        assert bench.noticed == [("unknown_write_key", 1)]
        assert bench.collector.counts["unknown_write_key"] == 1


@pytest.mark.parametrize("switch", [False, True])
def test_a_missing_or_empty_key_is_refused(switch: bool) -> None:
    for body in (track(), track(writeKey=""), track(writeKey=None), track(writeKey=5)):
        bench = Bench(accept_unknown=switch)
        answer = bench.post("/v1/track", body, key=None)
        assert (answer.status, answer.code) == (400, "missing_write_key")
        assert bench.log.events == []
