"""What every front end must do, on real sockets: ours on both event loops, and the ASGI application for reference."""

import asyncio
import json
import signal

import pytest

from milonga.collector.server import HttpServer
from tests.collector.parts import BASIC, EVENT, HEAD, Bench, Front, run, send, talk, track


@pytest.fixture(params=["asgi", "own", "uvloop"])
def front(request: pytest.FixtureRequest) -> Front:
    kind: Front = request.param
    return kind


def test_it_listens_on_a_port_of_its_own_choice_and_says_which(front: Front) -> None:
    with Bench().listening(front) as server:
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        answer = send(server, "POST", "/v1/t", EVENT, {"Authorization": BASIC})
        assert (answer.status, answer.body) == (200, b'{"success": true}')
        assert "server" not in answer.headers
        assert send(server, "GET", "/healthz").json == {"status": "alive"}
        assert send(server, "HEAD", "/readyz").body == b""


def test_a_port_in_use_is_an_error_of_the_caller() -> None:
    with Bench().listening() as server, pytest.raises(OSError, match="in use"):
        asyncio.run(HttpServer.start(Bench().collector, "127.0.0.1", server.port))


def test_our_own_signal_handlers_stay(front: Front) -> None:
    async def scenario() -> None:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        server = await Bench().serve(front)
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
        await server.stop()

    run(front, scenario())


def test_a_chunked_body_without_length_and_content_type_is_taken(front: Front) -> None:
    bench = Bench()
    with bench.listening(front) as server:
        chunks = b"".join(b"%x\r\n%s\r\n" % (1, EVENT[at : at + 1]) for at in range(len(EVENT)))
        head = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        assert b"200 OK" in talk(server, head, chunks, b"0\r\n\r\n")
    assert len(bench.events) == 1


def test_requests_follow_each_other_on_one_connection_in_order(front: Front) -> None:
    bench = Bench()
    with bench.listening(front) as server:
        bodies = [json.dumps(track(messageId=str(number))).encode() for number in range(5)]
        requests = [HEAD + b"Content-Length: %d\r\n" % len(body) for body in bodies]
        requests[-1] += b"Connection: close\r\n"
        answer = talk(server, b"".join(head + b"\r\n" + body for head, body in zip(requests, bodies, strict=True)))
    assert answer.count(b"200 OK") == 5
    assert [event.message_id for event in bench.events] == ["0", "1", "2", "3", "4"]


def test_a_client_that_asks_first_is_told_to_continue(front: Front) -> None:
    with Bench().listening(front) as server:
        head = HEAD + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(EVENT)
        answer = talk(server, head, EVENT)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_client_that_announces_too_much_is_refused_while_it_still_sends(front: Front) -> None:
    with Bench().listening(front) as server:
        head = HEAD + b"Connection: close\r\nContent-Length: 6000000\r\n\r\n"
        assert b"body_too_large" in talk(server, head)


def test_stopping_finishes_what_is_under_way_and_takes_no_more(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front, grace=10)
        idle, idle_writer = await asyncio.open_connection(server.host, server.port)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(EVENT) + EVENT)
        await bench.log.appending.acquire()
        stopping = asyncio.create_task(server.stop())
        assert await idle.read() == b""
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection(server.host, server.port)
        bench.log.held.set()
        assert b"200 OK" in await reader.read()
        await stopping
        idle_writer.close()
        writer.close()
        assert len(bench.events) == 1

    run(front, scenario())


def test_what_does_not_end_within_the_grace_time_is_answered_with_503(front: Front) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.log.held = asyncio.Event()
        server = await bench.serve(front, grace=0)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(EVENT) + EVENT)
        await bench.log.appending.acquire()
        await server.stop()
        answer = await reader.read()
        assert b"503 Service Unavailable" in answer
        assert b'"code":"stopping"' in answer
        writer.close()

    run(front, scenario())
