"""What our own front end promises beyond the contract of all: answers, kept connections, ends. On both event loops."""

import asyncio
import socket
import struct
import time
from email.utils import parsedate_to_datetime

import pytest

from milonga.collector.answers import answer_of
from milonga.collector.server import HttpServer
from tests.collector.connecting import ALIVE, LAST, assert_refused, connect, rest, until, wait_until
from tests.collector.parts import BASIC, EVENT, HEAD, Bench, Front, request, run, send, talk

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
