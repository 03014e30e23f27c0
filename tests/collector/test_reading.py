"""Requests out of bytes, however they are cut and whatever they hold."""

from itertools import pairwise
from math import inf

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from milonga.collector.answers import Answer
from milonga.collector.heads import Heads
from milonga.collector.reading import Clock, Refused
from milonga.collector.request import Request
from tests.collector.parts import BASIC, EVENT, HEAD, Bench, reader_of, request

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\n{}\r\r\n2;x=y\r\n\n\n\r\n0\r\nTrailer: x\r\n\r\n"
STREAM = request() + CHUNKED + b"\r\n" + request(b"").replace(b"/v1/t", b"/nothing") + request(EVENT, b"Expect: x")


def read(parts: list[bytes], heads: Heads | None = None) -> tuple[list[Request], Answer | None, Bench]:
    """
    The requests, what ended the reading, and the bench whose room they hold.

    heads  that were read before
    """
    bench = Bench()
    found: list[Request] = []
    reader = reader_of(bench, found.append, heads=heads)
    try:
        for part in parts:
            reader.feed(part)
    except Refused as refused:
        reader.feed(b"more")  # is passed over
        return found, refused.answer, bench
    reader.end()
    return found, None, bench


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


def test_requests_are_read_with_what_matters_of_their_headers() -> None:
    found, refused, bench = read([STREAM])
    assert refused is None
    assert [one.body for one in found] == [EVENT, b"{}\r\n\n", b"", EVENT]
    assert [one.keep for one in found] == [True] * 4
    assert [isinstance(one.to, Answer) for one in found] == [False, False, True, False]
    assert {one.authorization for one in found} == {BASIC.encode()}
    assert bench.collector.room.held == 2 * len(EVENT) + 5


def test_two_lines_of_a_list_of_proxies_are_one_list() -> None:
    lines = b"X-Forwarded-For: 203.0.113.9\r\nAccept: a\r\nx-forwarded-for: 10.0.0.2\r\nAccept: b"
    (one,), refused, _ = read([request(EVENT, lines)])
    assert refused is None
    assert one.fields[b"x-forwarded-for"] == b"203.0.113.9, 10.0.0.2"
    assert one.fields[b"accept"] == b"b"


def test_a_request_for_two_hosts_is_refused() -> None:
    found, refused, _ = read([request(EVENT, b"Host: one.example\r\nHost: two.example")])
    assert found == []
    assert refused is not None
    assert refused.status == 400


@pytest.mark.parametrize("places", [[], [5], [len(request())]])
@pytest.mark.parametrize("last", [b"HTTP/1.0\r\nConnection: keep-alive", b"HTTP/1.1\r\nConnection: close"])
def test_nothing_is_read_behind_the_last_request_of_a_connection(last: bytes, places: list[int]) -> None:
    found, refused, bench = read(cut(request().replace(b"HTTP/1.1", last) + request(), places))
    assert refused is None
    assert [one.keep for one in found] == [False]
    assert bench.collector.room.held == len(EVENT)


@settings(deadline=None)
@given(st.lists(st.integers(min_value=0), max_size=20))
@example(list(range(len(STREAM))))
def test_it_does_not_matter_where_the_network_cuts(places: list[int]) -> None:
    assert read(cut(STREAM, places))[:2] == read([STREAM])[:2]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(min_value=0), st.binary(max_size=3)), min_size=1, max_size=5),
    st.lists(st.integers(min_value=0), max_size=5),
)
def test_whatever_comes_is_read_or_refused_and_nothing_is_left_behind(
    damage: list[tuple[int, bytes]], places: list[int]
) -> None:
    data = bytearray(STREAM)
    for place, piece in damage:
        at = place % len(data)
        data[at : at + len(piece)] = piece
    found, refused, bench = read(cut(bytes(data), places))
    assert bench.collector.counts["trouble"] == 0
    assert refused is None or refused.status in (400, 408, 431)
    assert bench.collector.room.held == sum(len(one.body) for one in found)


def test_a_mistake_in_a_callback_is_ours_and_not_the_senders() -> None:
    def fail(_: Request) -> None:
        raise ZeroDivisionError

    bench = Bench()
    reader = reader_of(bench, fail)
    with pytest.raises(Refused) as refused:
        reader.feed(request())
    assert refused.value.answer.status == 503
    assert bench.collector.counts["trouble"] == 1


def test_a_body_may_take_its_time_as_long_as_something_comes() -> None:
    clock = Clock(0.0, b"")
    reader = reader_of(Bench(), lambda _: None, clock=clock, head_patience=30, body_patience=60, stall_patience=10)
    reader.feed(HEAD)
    assert (reader.deadline, reader.latest) == (30, inf)
    clock.now = 5.0
    reader.feed(b"Content-Length: 5\r\n\r\n")
    assert (reader.deadline, reader.latest) == (15, 65)
    for now in (14.0, 23.0):
        clock.now = now
        reader.feed(b"x")
        assert (reader.deadline, reader.latest) == (now + 10, 65)
    reader.extend()  # it could not be read for a while
    assert (reader.deadline, reader.latest) == (33, 83)
    reader.feed(b"xxx")
    assert (reader.deadline, reader.latest) == (inf, inf)
