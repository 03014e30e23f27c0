"""What our own front end promises beyond the contract of all: bounds, patience, ends. On both event loops."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import pytest

from milonga.collector.answers import answer_of
from milonga.collector.connection import MOST_WAITING, Patience
from milonga.collector.reading import MAX_HEAD, MAX_HEADERS
from milonga.collector.server import HttpServer
from milonga.spec.limits import MAX_REQUEST
from tests.collector.parts import BASIC, EVENT, HEAD, Bench, Front, Server, request, run, send, talk

QUICK = Patience(head=0.1, stall=0.1, body=0.1, take=0.1, idle=0.1, linger=0.1, tick=0.02)
LAST = b"Connection: close"
ALIVE = b"GET /healthz HTTP/1.1\r\n\r\n"


@pytest.fixture(params=["own", "uvloop"])
def front(request: pytest.FixtureRequest) -> Front:
    kind: Front = request.param
    return kind


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what is looked at is the product's own
            await asyncio.sleep(0.005)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def connect(server: Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=10)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer


def flood(connection: socket.socket, data: bytes) -> None:
    for _ in range(10_000):
        connection.sendall(data)


def assert_refused(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\ncontent-type: application/json\r\n" in head
    assert b"\r\nconnection: close" in head
    assert b"content-length: %d\r\n" % len(body) in head
    assert f'"code":"{code}"'.encode() in body


# Answers and ends


def test_an_answer_has_the_date_and_no_more_than_it_needs(front: Front) -> None:
    with Bench().listening(front) as server:
        before = int(time.time())
        answer = send(server, "POST", "/v1/t", EVENT, {"Authorization": BASIC})
        assert before - 2 <= parsedate_to_datetime(answer.headers.pop("date")).timestamp() <= time.time()
        assert answer.headers == {"content-type": "application/json", "content-length": "17"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_other_methods_are_answered_and_the_connection_kept(front: Front, method: str) -> None:
    with Bench().listening(front) as server:
        answer = talk(server, f"{method} /v1/track HTTP/1.1\r\n\r\n".encode(), request(EVENT, LAST))
        assert answer.count(b"HTTP/1.1 ") == 2
        first, second = answer.split(b"HTTP/1.1 ")[1:]
        assert first.startswith(b"405 Method Not Allowed\r\n")
        assert first.endswith(b"\r\n\r\n") == (method == "HEAD")
        assert second.startswith(b"200 OK\r\n")


def test_a_body_for_a_wrong_path_is_thrown_away_and_the_connection_kept(front: Front) -> None:
    bench = Bench()
    with bench.listening(front) as server:
        wrong = request(b" " * 300_000).replace(b"/v1/t", b"/v1/x")
        answer = talk(server, wrong, request(EVENT, LAST))
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"404", b"200"]
        assert bench.collector.room.held == 0


@pytest.mark.parametrize("target", [b"*", b"http://x/v1/t", b"/v1/t?x=1", b"/v1/%74", b"//v1//t/", b"/\xff"])
def test_odd_targets_are_read_or_refused_in_json(front: Front, target: bytes) -> None:
    with Bench().listening(front) as server:
        answer = talk(server, request(EVENT, LAST).replace(b"/v1/t", target, 1))
        assert answer.startswith(b"HTTP/1.1 200" if b"v1" in target else b"HTTP/1.1 40")
        assert b"\r\ncontent-type: application/json\r\n" in answer


@pytest.mark.parametrize("more", [b"", b"Connection: keep-alive\r\n"])
def test_version_1_0_is_answered_and_closed(front: Front, more: bytes) -> None:
    with Bench().listening(front) as server:
        answer = talk(server, request(EVENT).replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\n" + more))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n" in answer


def test_what_comes_behind_the_last_request_is_passed_over(front: Front) -> None:
    bench = Bench()
    with bench.listening(front) as server:
        answer = talk(server, request(EVENT, LAST) + request(EVENT))
        assert answer.count(b"HTTP/1.1 ") == 1
    assert len(bench.events) == 1


def test_a_client_that_ended_its_own_half_still_gets_its_answers(front: Front) -> None:
    with Bench().listening(front) as server, connect(server) as connection:
        connection.sendall(request() + request())
        connection.shutdown(socket.SHUT_WR)
        assert rest(connection).count(b"200 OK") == 2


def test_a_wish_to_switch_to_another_protocol_is_passed_over(front: Front) -> None:
    bench = Bench()
    upgrade = (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    )
    chunked = HEAD + b"\r\n".join(upgrade) + b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(EVENT)
    with bench.listening(front) as server:
        for parts in ([request(EVENT, *upgrade)], [chunked, EVENT, b"\r\n0\r\n\r\n"]):
            assert talk(server, *parts).startswith(b"HTTP/1.1 200 OK\r\n")
        assert talk(server, ALIVE[:-2] + b"\r\n".join(upgrade) + b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert talk(server, b"CONNECT x:1 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert bench.collector.counts["accepted"] == 1
    assert bench.collector.counts["duplicate"] == 1


def test_a_request_may_arrive_byte_by_byte(front: Front) -> None:
    bench = Bench()
    with bench.listening(front) as server, connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\r\n" + request() + b"\r\n\r\n" + request(EVENT, LAST):
            connection.sendall(bytes([byte]))
        assert rest(connection).count(b"200 OK") == 2
    assert bench.collector.room.held == 0


def test_a_fault_of_ours_is_503_and_the_connection_kept(front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.log.broken = True
    with bench.listening(front) as server, connect(server) as connection:
        connection.sendall(request() + request(b'{"userId":"u","event":1.5}') + request(EVENT, LAST))
        answer = rest(connection)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"503", b"200", b"503"]
    assert b'"code":"trouble"' in answer
    assert "secret" not in "".join(capsys.readouterr())
    assert bench.collector.room.held == 0


def test_a_fault_before_anything_is_appended_is_503_too(front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    def no_clock() -> float:
        raise OSError("secret")

    with Bench(clock=no_clock).listening(front) as server:
        assert b'"code":"trouble"' in talk(server, request(EVENT, LAST))
    assert "secret" not in "".join(capsys.readouterr())


def test_a_client_that_goes_while_its_event_is_appended_loses_nothing(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front)
        assert isinstance(server, HttpServer)
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request() + request())  # the second waits for its turn
        await bench.log.appending.acquire()
        link = writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not only ended
        writer.transport.abort()
        await until(lambda: not server._connections)
        assert bench.collector.room.held == len(EVENT)
        bench.log.held.set()
        await until(lambda: bench.collector.room.held == 0)
        assert bench.collector.counts["accepted"] == 1
        await server.stop()

    run(front, scenario())


def test_a_client_that_goes_in_the_middle_of_a_body_leaves_nothing_behind(front: Front) -> None:
    bench = Bench()
    with bench.listening(front) as server:
        with connect(server) as connection:
            connection.sendall(request()[:-1])
            wait_until(lambda: bench.collector.room.held > 0)
        wait_until(lambda: bench.collector.room.held == 0)
    assert bench.events == []


# What is no request


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: five\r\n\r\nxxxxx",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: \r\n\r\n",
        HEAD + b"Content-Length: 1 2\r\n\r\n",
        HEAD + b"Content-Length: 1_0\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b" folded\r\nBad Name: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_in_json_and_closed(front: Front, sent: bytes) -> None:
    bench = Bench()
    with bench.listening(front) as server:
        assert_refused(talk(server, sent), 400, "invalid_http")
        good, _, bad = talk(server, request() + sent).partition(b'{"success": true}')
        assert good.startswith(b"HTTP/1.1 200 OK\r\n")
        assert_refused(bad, 400, "invalid_http")
        wait_until(lambda: bench.collector.room.held == 0)
    assert bench.collector.counts["refused"] == 2


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"".join(b"x-%d: 1\r\n" % number for number in range(MAX_HEADERS)) + b"\r\n",
        HEAD + b"".join(b"x: 1\r\n" for _ in range(MAX_HEAD)) + b"\r\n",
        HEAD + b"x: " + b"y" * MAX_HEAD + b"\r\n\r\n",
        b"GET /" + b"y" * MAX_HEAD + b" HTTP/1.1\r\n\r\n",
        HEAD + b"x: " + b"y" * 10_000_000,
        b"GET /" + b"y" * 10_000_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nx: " + b"y" * 10_000_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;x=" + b"y" * 10_000_000,
    ],
    ids=[
        "names",
        "lines",
        "value",
        "target",
        "endless value",
        "endless target",
        "endless trailer",
        "endless extension",
    ],
)
def test_too_much_around_a_body_is_refused(front: Front, sent: bytes) -> None:
    with Bench().listening(front) as server:
        assert_refused(talk(server, sent), 431, "headers_too_large")


def test_as_many_headers_as_are_allowed_are_read(front: Front) -> None:
    more = [b"x-%d: %b" % (number, b"y" * 200) for number in range(MAX_HEADERS - 4)]
    with Bench().listening(front) as server:
        assert talk(server, request(EVENT, LAST, *more)).startswith(b"HTTP/1.1 200 OK\r\n")


# Sizes


@pytest.mark.parametrize("expect", [False, True])
def test_who_sends_far_too_much_gets_to_read_why_not(front: Front, expect: bool) -> None:
    large = b" " * (MAX_REQUEST + 1)
    bench = Bench()
    with bench.listening(front) as server:
        more = (b"Expect: 100-continue",) if expect else ()
        assert_refused(talk(server, request(large, *more)), 400, "body_too_large")
        chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(large)
        assert_refused(talk(server, chunked, large), 400, "body_too_large")
        assert bench.collector.room.held == 0


def test_who_does_not_stop_sending_is_cut_off(front: Front) -> None:
    with Bench().listening(front) as server, connect(server) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        with pytest.raises(ConnectionError):
            flood(connection, b" " * 65536)


def test_a_body_for_which_there_is_no_room_is_503_and_the_connection_kept(front: Front) -> None:
    bench = Bench(max_held=100_000)
    with bench.listening(front) as server:
        answer = talk(server, request(b" " * 300_000), request(EVENT, LAST))
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"503", b"200"]
        assert b'"code":"busy"' in answer
        assert bench.collector.room.held == 0


def test_slow_bodies_of_strangers_leave_room_for_those_whose_header_names_a_key(front: Front) -> None:
    bench = Bench(max_held=200_000)
    with bench.listening(front) as server, connect(server) as slow, connect(server) as known:
        slow.sendall(b"POST /v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b" " * 99_000)
        wait_until(lambda: bench.collector.room.held == 99_000)
        stranger = request(b" " * 50_000, LAST).replace(b"Authorization", b"X-Other")
        assert_refused(talk(server, stranger), 503, "busy")
        known.sendall(request(EVENT + b" " * 50_000))
        assert known.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert bench.collector.room.held == 99_000


def test_a_wrong_path_is_refused_before_its_body_is_asked_for(front: Front) -> None:
    with Bench().listening(front) as server:
        head = HEAD.replace(b"/v1/t", b"/v1/x") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        assert_refused(talk(server, head), 404, "not_found")


def test_a_client_that_asks_first_waits_for_its_turn(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request() + HEAD + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n")
        await bench.log.appending.acquire()
        bench.log.held.set()
        answer = await reader.readuntil(b"100 Continue\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        writer.write(b"{}")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await server.stop()

    run(front, scenario())


# Pipelines, and answers that nobody takes


def test_a_long_pipeline_is_answered_in_order_and_never_held_as_a_whole(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front)
        assert isinstance(server, HttpServer)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        bodies = [b'{"userId":"u","event":"%d","x":"%b"}' % (n, b"y" * 10_000) for n in range(2_000)]
        writer.write(b"".join(map(request, bodies)))
        await until(lambda: any(connection._paused for connection in server._connections))
        assert bench.collector.room.held < 2_000_000
        bench.log.held.set()
        for _ in bodies:
            answer = await reader.readuntil(b'{"success": true}')
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert [event.call.name for event in bench.events] == [str(n) for n in range(2_000)]  # type: ignore[union-attr]
        assert bench.collector.room.held == 0
        writer.close()
        await server.stop()

    run(front, scenario())


def test_no_more_than_one_large_request_of_bodies_waits_on_a_connection(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front)
        assert isinstance(server, HttpServer)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        one = 1_500_000
        bodies = [b'{"userId":"u","event":"%d"}' % n + b" " * one for n in range(12)]
        writer.write(b"".join(map(request, bodies)))
        await until(lambda: any(connection._paused for connection in server._connections))
        assert MAX_REQUEST - one < bench.collector.room.held - one < MAX_REQUEST + 1_000_000
        bench.log.held.set()
        for _ in bodies:
            answer = await reader.readuntil(b'{"success": true}')
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        await until(lambda: bench.collector.room.held == 0)
        writer.close()
        await server.stop()

    run(front, scenario())


def test_a_body_that_drips_in_is_waited_for_and_one_that_never_ends_is_not(front: Front) -> None:
    patience = Patience(stall=60, body=0.3, tick=0.02)
    with Bench().listening(front, patience=patience) as server, connect(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 5\r\n\r\n{")
        assert_refused(rest(connection), 503, "slow_body")


def test_a_sender_of_too_many_requests_at_once_is_refused(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front)
        assert isinstance(server, HttpServer)
        ours, theirs = socket.socketpair()
        theirs.sendall(request() + ALIVE * (MOST_WAITING + 1))  # all of it is there before any of it is read
        ours.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(server._connect, ours)
        await bench.log.appending.acquire()
        bench.log.held.set()
        reader, writer = await asyncio.open_connection(sock=theirs)
        answer = await reader.read()
        assert answer.count(b'"status":"alive"') == MOST_WAITING + 1
        assert_refused(answer[answer.rindex(b"HTTP/1.1") :], 503, "busy")
        writer.close()
        await server.stop()

    run(front, scenario())


@pytest.mark.parametrize("sent", [ALIVE, request().replace(b"/v1/t", b"/v1/x"), request()])
def test_a_client_that_takes_no_answers_is_cut_off(front: Front, sent: bytes) -> None:
    bench = Bench()
    with bench.listening(front, patience=QUICK) as server, connect(server) as connection:
        with pytest.raises(ConnectionError):
            flood(connection, sent * 100)
        assert isinstance(server, HttpServer)
        wait_until(lambda: not server._connections)
        wait_until(lambda: bench.collector.room.held == 0)


def test_a_client_that_takes_its_answers_late_gets_them_all(front: Front) -> None:
    with Bench().listening(front) as server, connect(server) as connection:
        wrong = request(b" " * 1000).replace(b"/v1/t", b"/v1/x")
        sender = threading.Thread(target=connection.sendall, args=(wrong * 30_000 + request(EVENT, LAST),))
        sender.start()
        assert isinstance(server, HttpServer)
        wait_until(lambda: any(not one._writable for one in server._connections))
        answer = rest(connection)
        assert answer.count(b"HTTP/1.1 404 ") == 30_000
        assert answer.endswith(b'{"success": true}')
        sender.join()


# Patience


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"P", "slow_headers"),
        (HEAD, "slow_headers"),
        (HEAD + b"Content-Length: 5\r\n\r\n", "slow_body"),
        (request()[:-1], "slow_body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n", "slow_body"),
    ],
)
def test_a_request_that_does_not_arrive_is_given_up(front: Front, sent: bytes, code: str) -> None:
    bench = Bench()
    with bench.listening(front, patience=QUICK) as server:
        assert_refused(talk(server, sent), 503, code)
        good, _, bad = talk(server, request(), sent).partition(b'{"success": true}')
        assert good.startswith(b"HTTP/1.1 200 OK\r\n")
        assert_refused(bad, 503, code)
        assert bench.collector.room.held == 0


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n", request()])
def test_an_idle_connection_is_closed_without_a_word(front: Front, sent: bytes) -> None:
    with Bench().listening(front, patience=QUICK) as server:
        assert talk(server, sent).count(b"HTTP/1.1") == (1 if sent == request() else 0)


def test_an_append_may_take_as_long_as_it_likes(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front, patience=QUICK)
        assert isinstance(server, HttpServer)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request(EVENT, LAST))
        await bench.log.appending.acquire()
        began = server._clock.now
        await until(lambda: server._clock.now > began + 5 * QUICK.idle)
        bench.log.held.set()
        assert b"200 OK" in await reader.read()
        writer.close()
        await server.stop()

    run(front, scenario())


def test_a_client_that_waits_for_us_to_ask_is_not_slow(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front, patience=QUICK)
        assert isinstance(server, HttpServer)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request() + HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        await bench.log.appending.acquire()
        began = server._clock.now
        await until(lambda: server._clock.now > began + 3 * QUICK.body)
        bench.log.held.set()
        assert b"200 OK" in await reader.readuntil(b"100 Continue\r\n\r\n")
        assert_refused(await reader.read(), 503, "slow_body")  # now it is
        writer.close()
        await server.stop()

    run(front, scenario())


@pytest.mark.parametrize("refused", [b"nonsense\r\n\r\n", request()[:-1]])
def test_what_was_refused_while_an_append_never_ends_does_not_hold_up_the_stop(front: Front, refused: bytes) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front, grace=0)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request() + refused)
        await bench.log.appending.acquire()
        await until(lambda: bench.collector.room.held > len(EVENT) or bench.collector.counts["refused"] == 1)
        writer.write_eof()
        await server.stop()
        assert_refused(await reader.read(), 503, "stopping")
        bench.log.held.set()
        await until(lambda: bench.collector.room.held == 0)
        writer.close()

    run(front, scenario())


# Many connections, and the end


def test_connections_beyond_the_bound_are_told_to_come_again(front: Front) -> None:
    with Bench().listening(front, most_connections=2) as server, connect(server) as first:
        with connect(server) as second:
            for connection in (first, second):
                connection.sendall(ALIVE)
                assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            assert_refused(talk(server), 503, "busy")
        assert isinstance(server, HttpServer)
        wait_until(lambda: len(server._connections) == 1)
        assert send(server, "GET", "/healthz").status == 200


def test_answers_that_nobody_takes_are_bounded_for_all_connections_together(front: Front) -> None:
    script = answer_of(200, b"text/plain", b"x" * 20_000_000)
    with Bench(serve=lambda _: script).listening(front) as server:
        assert isinstance(server, HttpServer)
        server._unread.limit = 50_000_000
        asked = [connect(server) for _ in range(5)]
        try:
            for connection in asked:
                connection.sendall(b"GET /script HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: len(server._connections) < len(asked))
            wait_until(lambda: 0 < server._unread.held <= server._unread.limit)
            assert send(server, "GET", "/healthz").status == 200
        finally:
            for connection in asked:
                connection.close()
        wait_until(lambda: server._unread.held == 0)


def test_stopping_lets_a_body_arrive_and_closes_what_has_only_begun(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        server = await bench.serve(front)
        begun, begun_writer = await asyncio.open_connection(server.host, server.port)
        begun_writer.write(HEAD)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request()[:-1])
        await until(lambda: bench.collector.room.held > 0)
        stopping = asyncio.create_task(server.stop())
        assert await begun.read() == b""
        writer.write(EVENT[-1:])
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n" in answer
        await stopping
        for one in (writer, begun_writer):
            one.close()

    run(front, scenario())


def test_a_body_that_does_not_arrive_within_the_grace_time_is_answered_with_503(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        server = await bench.serve(front, grace=0.05)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request()[:-1])
        await until(lambda: bench.collector.room.held > 0)
        stopping = asyncio.create_task(server.stop())
        assert_refused(await reader.read(), 503, "stopping")
        writer.close()
        await stopping
        assert bench.collector.room.held == 0

    run(front, scenario())


def test_what_was_given_up_is_kept_all_the_same(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front, grace=0)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request())
        await bench.log.appending.acquire()
        await server.stop()
        assert_refused(await reader.read(), 503, "stopping")
        bench.log.held.set()
        await until(lambda: bench.collector.counts["accepted"] == 1)
        assert bench.collector.room.held == 0
        writer.close()

    run(front, scenario())


def test_a_client_that_takes_no_answers_does_not_hold_up_the_stop(front: Front) -> None:
    async def scenario() -> None:
        server = await Bench().serve(front, grace=0.05)
        assert isinstance(server, HttpServer)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(server._connect, ours)
        (connection,) = server._connections
        while connection._writable:
            try:
                theirs.send(ALIVE * 1000)
            except BlockingIOError:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
        began = time.monotonic()
        await server.stop()
        assert time.monotonic() - began < 5
        assert not server._connections
        theirs.close()

    run(front, scenario())
