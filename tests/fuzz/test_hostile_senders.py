"""
The classics, one by one, against a real server in its own processes: what they ask for in memory and time, and that
somebody else is served meanwhile. (How long a slow sender is waited for: tests/collector/test_connection.py, where
that takes no half minute.)
"""

import base64
import gzip
import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from milonga.collector.connection import MOST_WAITING
from milonga.spec.limits import MAX_REQUEST
from tests.fuzz.aftermath import ask, signs_of_trouble
from tests.fuzz.bodies import bomb
from tests.fuzz.judge import code_of
from tests.fuzz.run import memory, target
from tests.fuzz.templates import KEY
from tests.fuzz.wire import Listening
from tests.running import PATIENCE, Milonga, eventually

MIB = 2**20
HEAD = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\n"
OPEN = b'{"writeKey":"%b","batch":[' % KEY.encode()
BASIC = b"Basic " + base64.b64encode(f"{KEY}:".encode())
EVENT = b'{"type":"track","event":"e","userId":"u"}'


@pytest.fixture(scope="module")
def milonga(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milonga]:
    with target(tmp_path_factory.mktemp("hostile")) as milonga:
        yield milonga
        assert signs_of_trouble(milonga) == []


def connect(milonga: Milonga) -> socket.socket:
    return socket.create_connection(("127.0.0.1", milonga.port), timeout=PATIENCE)


def answers(connection: socket.socket, heard: Callable[[int], None] = lambda _: None) -> list[tuple[int, str]]:
    """Status and code of all that comes until the other side ends. heard  is told how many there are by now"""
    listening = Listening([])
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            listening.feed(part)
            heard(len(listening.answers))
    assert listening.rest == b""
    return [(heard.status, code_of(heard)) for heard in listening.answers]


def post(milonga: Milonga, body: bytes, *headers: bytes) -> tuple[int, str]:
    with connect(milonga) as connection:
        lines = b"".join(b"%b\r\n" % line for line in headers)
        head = HEAD + lines + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        with suppress(BrokenPipeError, ConnectionResetError):  # it has been refused by then
            connection.sendall(head + body)
        (answer,) = answers(connection)
        return answer


def serves_others(milonga: Milonga) -> bool:
    return post(milonga, OPEN + EVENT + b"]}", b"Authorization: " + BASIC) == (200, "")


@contextmanager
def watched(milonga: Milonga, most: int) -> Iterator[None]:
    """
    The server must take at most so many bytes more than before, and must answer others all the while.
    """
    before, peak, over = memory(milonga), 0, threading.Event()
    wrong: list[str] = []

    def look() -> None:
        nonlocal peak
        while True:
            peak = max(peak, memory(milonga))
            if not serves_others(milonga):
                wrong.append("somebody else was not served")
            if over.wait(0.1):
                return

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join(PATIENCE)
    assert not wrong
    assert peak > 0
    assert peak - before < most, f"{(peak - before) / MIB:.0f} MiB more"


@pytest.mark.parametrize("letter", [b"[", b" ", b'"'], ids=repr)
def test_a_gzip_bomb_is_refused_before_it_goes_off(milonga: Milonga, letter: bytes) -> None:
    packed = bomb(1024 * MIB, letter)
    assert len(packed) < MAX_REQUEST / 2
    with watched(milonga, 48 * MIB):
        for _ in range(3):
            assert post(milonga, packed, b"Content-Encoding: gzip") == (400, "body_too_large")


def test_a_bomb_within_a_bomb_is_no_more_than_its_shell(milonga: Milonga) -> None:
    with watched(milonga, 48 * MIB):
        assert post(milonga, gzip.compress(bomb(1024 * MIB), 1), b"Content-Encoding: gzip") == (400, "invalid_json")


def test_a_bomb_of_many_members_is_refused(milonga: Milonga) -> None:
    with watched(milonga, 48 * MIB):
        assert post(milonga, bomb(20_000) * 2000, b"Content-Encoding: gzip") == (400, "body_too_large")
        assert post(milonga, bomb(0) * 100_000, b"Content-Encoding: gzip") == (400, "invalid_gzip")


NESTED = [b"[" * (10 * MIB), b"[" * (5 * MIB) + b"]" * (5 * MIB), b'{"a":' * (2 * MIB), b'[{"a":' * MIB]


@pytest.mark.parametrize("number", range(len(NESTED)))
def test_ten_megabytes_of_nested_arrays_are_refused(milonga: Milonga, number: int) -> None:
    body = NESTED[number][: 10 * MIB]
    with watched(milonga, 48 * MIB):
        assert post(milonga, body) == (400, "body_too_large")
        assert post(milonga, gzip.compress(body, 1), b"Content-Encoding: gzip") == (400, "body_too_large")


@pytest.mark.parametrize("number", [1, 3])
def test_five_megabytes_of_nested_arrays_are_read_and_discarded_or_refused(milonga: Milonga, number: int) -> None:
    """As large as they may be. The memory is that of mending one such body, for only one at a time is mended."""
    inside = NESTED[number][: 5 * MIB - 200]
    with watched(milonga, 350 * MIB):
        assert post(milonga, inside[:MAX_REQUEST]) in {(400, "invalid_json"), (400, "missing_write_key"), (200, "")}
        body = OPEN + EVENT + b"," + inside[: MAX_REQUEST - 200]
        assert post(milonga, body)[0] == 200


def test_an_object_of_a_million_keys_is_taken_or_discarded_like_any_other(milonga: Milonga) -> None:
    short = b"{" + b",".join(b'"%x":0' % number for number in range(500_000)) + b"}"
    long = b"{" + b",".join(b'"%x":0' % number for number in range(1_000_000)) + b"}"
    assert len(short) < MAX_REQUEST < len(long)
    with watched(milonga, 350 * MIB):
        assert post(milonga, long) == (400, "body_too_large")
        assert post(milonga, short) == (400, "missing_write_key")
        event = b'{"type":"track","event":"e","userId":"u","properties":' + short[: 4 * MIB] + b"}"
        assert post(milonga, OPEN + event + b"," + EVENT + b"]}")[0] == 200


CONFLICTS = [
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: 6\r\nContent-Length: 6\r\n",
    b"Content-Length: 5, 6\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 0x5\r\n",
    b"Content-Length: 5 5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length : 5\r\n",
]
SMUGGLED = b"0\r\n\r\nPOST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"


def test_conflicting_lengths_are_refused_and_nothing_behind_them_is_read(milonga: Milonga) -> None:
    inner = OPEN + b'{"type":"track","event":"smuggled","userId":"u","messageId":"smuggled"}]}'
    for lines in CONFLICTS:
        with connect(milonga) as connection:
            connection.sendall(HEAD + lines + b"\r\n" + SMUGGLED % (len(inner), inner))
            assert answers(connection) == [(400, "invalid_http")], lines
    assert milonga.run("events", "show", "smuggled").returncode != 0


def test_ten_thousand_tiny_requests_are_all_answered_in_order_while_a_thousand_at_most_wait(milonga: Milonga) -> None:
    """By a sender who reads what is answered, and lets up to 800 wait: beyond a thousand he would be refused."""
    pair = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing/here HTTP/1.1\r\nHost: x\r\n\r\n"
    pieces, size = 25, 200
    room = threading.Condition()
    answered = 0

    def send(connection: socket.socket) -> None:
        for number in range(pieces):
            with room:
                room.wait_for(lambda number=number: number * 2 * size - answered <= 2 * size, PATIENCE)  # type: ignore[misc]
            connection.sendall(pair * size)
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")

    def heard(count: int) -> None:
        nonlocal answered
        with room:
            answered = count
            room.notify()

    with watched(milonga, 32 * MIB), connect(milonga) as connection:
        pump = threading.Thread(target=send, args=(connection,))
        pump.start()
        found = answers(connection, heard)
        pump.join(PATIENCE)
    assert found == [(200, ""), (404, "not_found")] * (pieces * size) + [(200, "")]


def test_ten_thousand_events_in_one_go_are_kept_or_the_sender_is_told_where_it_ends(milonga: Milonga) -> None:
    body = b'{"writeKey":"%b","type":"track","event":"e","userId":"u"}' % KEY.encode()
    one = b"POST /v1/t HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with watched(milonga, 64 * MIB), connect(milonga) as connection:
        pump = threading.Thread(target=_send_what_is_taken, args=(connection, one * 10_000))
        pump.start()
        connection.settimeout(PATIENCE)
        found = []
        listening = Listening([])
        while len(listening.answers) < 10_000:
            part = connection.recv(65536)
            if not part:
                break
            listening.feed(part)
        pump.join(PATIENCE)
        found = [heard.status for heard in listening.answers]
    assert len(found) == 10_000 or (found[-1] == 503 and len(found) > MOST_WAITING)
    assert set(found[:-1]) == {200}


def _send_what_is_taken(connection: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        connection.sendall(data)


def test_senders_who_stop_half_way_hold_up_nobody(milonga: Milonga) -> None:
    """Half a head, half a body, half a chunk, a connection and nothing; and some who are gone without a word."""
    halves = [
        b"",
        b"P",
        b"POST /v1/t HTT",
        HEAD,
        HEAD + b"Content-Length: 500000\r\n\r\n" + b"x" * 100_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + b"x" * 5000,
        HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ]
    with ExitStack() as open_ones, watched(milonga, 64 * MIB):
        for _, half in zip(range(280), itertools.cycle(halves), strict=False):
            connection = open_ones.enter_context(connect(milonga))
            connection.sendall(half)
        for _ in range(20):
            assert serves_others(milonga)


def test_senders_of_half_bodies_cannot_take_all_the_room(milonga: Milonga) -> None:
    """Strangers, who have no key in their header, may hold half of the 64 MiB; then they hear 503, others do not."""
    with ExitStack() as open_ones, watched(milonga, 160 * MIB):
        for _ in range(20):
            connection = open_ones.enter_context(connect(milonga))
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % MAX_REQUEST + b"x" * (4 * MIB))
        # Whoever is refused gives back what it held, so up to 4 MiB and the part that was one too many may be free.
        busy = partial(post, milonga, b"x" * (5 * MIB))
        eventually(lambda: busy() == (503, "busy"), "strangers have all they may have")
        for _ in range(20):
            assert busy() == (503, "busy")
            assert serves_others(milonga)


def test_a_body_is_forgotten_with_its_answer_also_while_the_connection_stays(milonga: Milonga) -> None:
    body = b" " * (4 * MIB) + OPEN + EVENT + b"]}"
    with ExitStack() as open_ones, watched(milonga, 64 * MIB):
        for _ in range(40):
            connection = open_ones.enter_context(connect(milonga))
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")


VARIED: dict[str, Callable[[bytes], bytes]] = {
    "origins": lambda own: b"POST /v1/t HTTP/1.1\r\nHost: x\r\nOrigin: https://%b\r\nContent-Length: 0\r\n\r\n" % own,
    "preflights": lambda own: b"OPTIONS /v1/t HTTP/1.1\r\nHost: x\r\nOrigin: https://%b\r\n\r\n" % own,
    "asked": lambda own: b"OPTIONS /v1/t HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Headers: %b\r\n\r\n" % own,
    "keys": lambda own: b"POST /v1/t HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %b\r\nContent-Length: 0\r\n\r\n" % own,
    "targets": lambda own: b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % own,
    "settings": lambda own: b"GET /v1/projects/%b/settings HTTP/1.1\r\nHost: x\r\n\r\n" % own,
    "hosts": lambda own: b"GET /v1/projects/x/settings HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: %b\r\n\r\n" % own,
    "hops": lambda own: b"POST /v1/t HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %b\r\nContent-Length: 0\r\n\r\n" % own,
    "pixels": lambda own: b"GET /v1/pixel/track?writeKey=%b HTTP/1.1\r\nHost: x\r\n\r\n" % own,
}


@pytest.mark.parametrize("what", VARIED)
def test_what_is_remembered_of_requests_is_bounded_also_if_each_is_long_and_new(milonga: Milonga, what: str) -> None:
    """3,000 of 15 KB are 45 MB: whoever kept them would be seen to."""
    before = memory(milonga)
    for begin in range(0, 3000, 100):
        with connect(milonga) as connection:
            for number in range(begin, begin + 100):
                connection.sendall(VARIED[what](b"%07d" % number + b"a" * 15_000))
            connection.shutdown(socket.SHUT_WR)
            assert len(answers(connection)) == 100
    assert memory(milonga) - before < 24 * MIB


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
NO_TLS = [
    b"",
    b"\x16",
    HELLO,
    HELLO + b"\xff" * 600,
    b"\x16\x03\x01\xff\xff" + b"\0" * 70_000,
    b"\x15\x03\x01\x00\x02\x02\x28",
    b"\x80\x2e\x01\x00\x02" + b"\0" * 50,
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\0" * 100_000,
    random.Random(7).randbytes(5000),
]


def test_what_is_no_tls_is_turned_away_by_a_server_that_speaks_it(tmp_path: Path) -> None:
    """Quietly: whoever scans ports must not fill the log."""
    with target(tmp_path, tls=True) as milonga, ExitStack() as open_ones:
        for _ in range(100):  # they stay, and say nothing or half of it
            open_ones.enter_context(connect(milonga)).sendall(HELLO)
        for sent in NO_TLS * 5:
            with connect(milonga) as connection, suppress(OSError):
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
        assert ask(milonga, "GET", "/readyz")[0] == 200
        assert signs_of_trouble(milonga) == []
        assert len(milonga.log_text()) < 10_000
