"""What the fuzzing has found, each by itself."""

import msgspec
import pytest

from milonga.collector.origins import _allows, allows
from tests.collector.parts import EVENT, HEAD, Bench, Front, request, talk, track

FRONTS: list[Front] = ["own", "uvloop"]
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def in_one_chunk(body: bytes, trailer: bytes) -> bytes:
    return CHUNKED + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailer)


@pytest.mark.parametrize("front", FRONTS)
def test_a_trailer_behind_a_body_of_more_than_16_kib_is_no_large_head(front: Front) -> None:
    bench = Bench()
    body = EVENT + b" " * 20_000
    with bench.listening(front) as server:
        answer = talk(server, in_one_chunk(body, b"X-Sum: 1\r\n") + request(b"{}", b"Connection: close"))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert len(bench.events) == 1


@pytest.mark.parametrize("front", FRONTS)
def test_a_trailer_is_no_header(front: Front) -> None:
    bench = Bench()
    packed = b"Content-Encoding: gzip\r\nX-Forwarded-For: 203.0.113.9\r\nAuthorization: Basic eDo=\r\n"
    with bench.listening(front) as server:
        answer = talk(server, in_one_chunk(EVENT, packed) + request(EVENT, b"Connection: close"))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert len(bench.log.events) == 1  # the second is a duplicate


@pytest.mark.parametrize("front", FRONTS)
def test_trailers_are_bounded_all_the_same(front: Front) -> None:
    with Bench().listening(front) as server:
        answer = talk(server, in_one_chunk(EVENT, b"X-More: 1\r\n" * 100_000))
    assert answer.startswith(b"HTTP/1.1 431")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("front", FRONTS)
def test_who_asked_whether_to_go_on_and_went_on_is_not_told_so_afterwards(front: Front) -> None:
    bench = Bench()
    asking = b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"
    with bench.listening(front) as server:
        answer = talk(server, request() + asking + request(EVENT, b"Connection: close"))
    assert answer.count(b"HTTP/1.1 200") == 3
    assert b"100 Continue" not in answer


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("wrong", [b"X-Huge: " + b"h" * 20_000, b"No colon", b"X-Nul: \0"])
def test_a_head_request_is_refused_without_a_body(front: Front, wrong: bytes) -> None:
    with Bench().listening(front) as server:
        answer = talk(server, b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n" + wrong + b"\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    assert answer.endswith(b"connection: close\r\n\r\n")


def test_origins_of_any_length_are_not_remembered() -> None:
    _allows.cache_clear()
    for number in range(2000):
        assert not allows(("https://shop.example",), f"https://{number}" + "x" * 10_000)
        assert allows((), f"https://{number}" + "x" * 10_000)
    assert _allows.cache_info().currsize == 0


UPGRADE = (b"Connection: Upgrade", b"Upgrade: h2c")


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("before", [b"", request()], ids=["first", "second"])
def test_what_comes_behind_a_wish_to_switch_protocols_is_not_taken_for_its_body(front: Front, before: bytes) -> None:
    bench = Bench()
    own, other = (msgspec.json.encode(track(messageId=id_)) for id_ in ("own", "other"))
    with bench.listening(front) as server:
        answer = talk(server, before + request(own, *UPGRADE) + request(other) + request(other))
    kept = [event.message_id for event in bench.events]
    assert kept == (["m1", "own"] if before else ["own"])
    assert answer.count(b"HTTP/1.1 ") == len(kept)
    assert bench.collector.room.held == 0
