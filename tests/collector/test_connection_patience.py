"""How long our own front end waits for senders that are slow, silent, or take no answers. On both event loops."""

import asyncio
import threading

import pytest

from milonga.collector.connection import Patience
from milonga.collector.server import HttpServer
from tests.collector.connecting import ALIVE, LAST, QUICK, assert_refused, connect, flood, rest, until, wait_until
from tests.collector.parts import EVENT, HEAD, Bench, Front, request, run, talk

# Answers that nobody takes


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


# Requests that do not come


def test_a_body_that_drips_in_is_waited_for_and_one_that_never_ends_is_not(front: Front) -> None:
    patience = Patience(stall=60, body=0.3, tick=0.02)
    with Bench().listening(front, patience=patience) as server, connect(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 5\r\n\r\n{")
        assert_refused(rest(connection), 503, "slow_body")


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
