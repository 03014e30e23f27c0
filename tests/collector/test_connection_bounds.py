"""What our own front end refuses, and what it holds at most: no HTTP, sizes, pipelines. On both event loops."""

import asyncio
import socket

import pytest

from milonga.collector.connection import MOST_WAITING
from milonga.collector.reading import MAX_HEAD, MAX_HEADERS
from milonga.collector.server import HttpServer
from milonga.spec.limits import MAX_REQUEST
from tests.collector.connecting import ALIVE, LAST, assert_refused, connect, flood, until, wait_until
from tests.collector.parts import EVENT, HEAD, Bench, Front, request, run, talk

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


# Pipelines


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
