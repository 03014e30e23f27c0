"""A head that was read before is not read again, and nobody can tell."""

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from milonga.collector.heads import LONGEST, MOST, Heads
from milonga.collector.reading import Reader, Refused
from milonga.collector.request import Request
from tests.collector.parts import EVENT, HEAD, Bench, reader_of, request
from tests.collector.test_reading import STREAM, cut, read

POST = request()


def is_remembered(data: bytes) -> bool:
    heads = Heads()
    read([data], heads)
    return bool(heads.known)


def test_a_request_with_a_head_that_was_read_before_does_not_reach_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = Heads()
    (first,), _, _ = read([POST], heads)

    class NoParser:
        def __init__(self, _: Reader) -> None:
            pass

    monkeypatch.setattr(httptools, "HttpRequestParser", NoParser)
    (second,), refused, bench = read([POST], heads)
    assert refused is None
    assert second == first
    assert second.body == EVENT
    assert bench.collector.room.held == len(EVENT)


def test_connections_have_their_own_senders_whoever_sent_the_head_first() -> None:
    heads, bench = Heads(), Bench()
    peers = [bench.collector.proxies.peer(address, secure=False) for address in ("203.0.113.1", "203.0.113.2")]
    found: list[Request] = []
    for peer in peers:
        reader = reader_of(bench, found.append, heads=heads)
        reader.peer = peer
        reader.feed(POST)
    assert [one.peer for one in found] == peers


@pytest.mark.parametrize(
    "unusual",
    [
        request(EVENT, b"Expect: 100-continue"),
        request(EVENT, b"Connection: close"),
        request(EVENT, b"Connection: keep-alive"),
        request(EVENT, b"Upgrade: h2c", b"Connection: Upgrade"),
        request(EVENT, b"X-Long: " + b"x" * LONGEST),
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        request().replace(b"/v1/t ", b"/nothing "),
        request().replace(b"POST", b"PUT"),
        request(b"").replace(b"POST", b"OPTIONS"),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"\r\n",
        POST + POST,
        POST[:-1],
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_only_a_plain_event_that_arrives_as_a_whole_is_remembered(unusual: bytes) -> None:
    assert is_remembered(POST)
    assert not is_remembered(unusual)


@settings(deadline=None)
@given(st.lists(st.integers(min_value=0), max_size=10))
@example([])
@example([len(POST)])
@example([len(POST) - 1])
@example([len(POST), 2 * len(POST), 2 * len(POST) + 1])
def test_what_is_remembered_changes_nothing_however_the_network_cuts(places: list[int]) -> None:
    stream = POST + POST + b"\r\n" + POST + STREAM + POST
    heads = Heads()
    read([POST], heads)
    read([request(EVENT, b"Expect: x")], heads)
    assert heads.known
    for _ in range(2):
        assert read(cut(stream, places), heads)[:2] == read([stream])[:2]


@settings(deadline=None)
@given(st.integers(min_value=0), st.binary(min_size=1, max_size=3))
def test_a_damaged_request_is_read_as_if_nothing_had_been_read_before(place: int, piece: bytes) -> None:
    data = bytearray(POST)
    at = place % len(data)
    data[at : at + len(piece)] = piece
    heads = Heads()
    read([POST], heads)
    assert read([bytes(data)], heads)[:2] == read([bytes(data)])[:2]


def test_however_many_heads_there_are_few_are_remembered_and_new_ones_still_are() -> None:
    heads = Heads()
    for number in range(MOST + 10):
        read([request(EVENT, b"X-Trace: %d" % number)], heads)
        assert 0 < len(heads.known) <= MOST
    assert any(b"X-Trace: %d\r\n" % (MOST + 9) in head for head in heads.known)


def test_a_body_that_there_is_no_room_for_is_answered_as_ever() -> None:
    heads = Heads()
    read([POST], heads)
    bench = Bench(max_held=len(EVENT) - 1)
    found: list[Request] = []
    reader = reader_of(bench, found.append, heads=heads)
    reader.feed(POST)
    assert [one.to for one in found] == [bench.collector.away.busy()]
    assert bench.collector.room.held == 0


def test_a_mistake_of_ours_ends_the_connection_and_is_told_as_ours() -> None:
    def fail(_: Request) -> None:
        raise ZeroDivisionError

    heads, bench = Heads(), Bench()
    read([POST], heads)
    reader = reader_of(bench, fail, heads=heads)
    with pytest.raises(Refused) as refused:
        reader.feed(POST)
    assert refused.value.answer.status == 503
    assert reader.ended
    assert bench.collector.counts["trouble"] == 1
