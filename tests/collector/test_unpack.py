"""Unpacking of bodies: what is accepted, and what nobody else must wait for."""

import gzip
import threading
import zlib

import pytest

from milonga.collector import aside
from milonga.collector.unpack import MAX_MEMBERS, Broken, TooLarge, unpack
from milonga.spec.limits import MAX_REQUEST
from tests.collector.parts import Bench

EMPTY = gzip.compress(b"")


@pytest.mark.parametrize("size", [0, 1, 20_000, 200_000, MAX_REQUEST])
def test_members_and_the_zeros_between_them_are_read(size: int) -> None:
    whole = bytes(number * number % 251 for number in range(size))
    half = size // 2
    packed = gzip.compress(whole[:half]) + b"\0" * 40_000 + EMPTY + zlib.compress(whole[half:], 0) + b"\0" * 16_384
    assert unpack(packed, b"gzip") == whole


@pytest.mark.parametrize("size", [0, 1, 5, 18, 16_384, 16_390])
def test_what_is_cut_off_is_broken(size: int) -> None:
    packed = zlib.compress(bytes(number * number % 251 for number in range(20_000)), 0)
    with pytest.raises(Broken):
        unpack(packed[:size], b"gzip")
    with pytest.raises(Broken):
        unpack(EMPTY + packed[: max(size, 1)], b"gzip")


def test_one_byte_too_many_is_too_large() -> None:
    with pytest.raises(TooLarge):
        unpack(gzip.compress(bytes(MAX_REQUEST)) + gzip.compress(b"x"), b"gzip")


def test_a_number_of_members_that_no_client_sends_is_refused() -> None:
    assert unpack(EMPTY * MAX_MEMBERS, b"gzip") == b""
    with pytest.raises(Broken):
        unpack(EMPTY * (MAX_REQUEST // len(EMPTY)), b"gzip")


def test_a_large_body_is_unpacked_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def spy(body: bytes, encoding: bytes | None) -> bytes:
        threads.append(threading.get_ident())
        return unpack(body, encoding)

    monkeypatch.setattr(aside, "unpack", spy)
    bench = Bench()
    body = gzip.compress(b'{"batch":[' + b" " * 200_000 + b'{"type":"track","userId":"u","event":"e"}]}', 0)
    assert bench.post("/v1/batch", body, headers={"content-encoding": "gzip"}).status == 200
    small = gzip.compress(b'{"batch":[{"type":"track","userId":"u","event":"e"}]}')
    assert bench.post("/v1/batch", small, headers={"content-encoding": "gzip"}).status == 200
    assert [thread == threading.get_ident() for thread in threads] == [False, True]
    assert len(bench.log.events) == 2
    assert bench.collector.room.held == 0
