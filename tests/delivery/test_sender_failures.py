"""Requests without an answer: whether they have perhaps arrived all the same."""

import asyncio
import socket

import pycurl
import pytest

from tests.delivery.sending import (
    OK,
    Received,
    Run,
    answer_to,
    bound,
    failure_of,
    post,
    receiving,
    reset,
    sending,
    until,
)

# What goes wrong before the request is written


def test_a_refused_connection_has_surely_not_delivered(run: Run) -> None:
    async def main() -> None:
        async with sending() as sender:
            with bound(None) as port:
                failure = await failure_of(sender, post(f"http://127.0.0.1:{port}/"))
            assert (failure.code, failure.perhaps) == ("no_connection", False)
            assert f"127.0.0.1:{port}" in failure.reason

    run(main())


def test_a_name_without_an_address_is_named(run: Run) -> None:
    async def main() -> None:
        async with sending() as sender:
            failure = await failure_of(sender, post("https://no-such-name.invalid/secret?token=secret"))
            assert (failure.code, failure.perhaps) == ("no_address", False)
            assert "no-such-name.invalid" in failure.reason
            assert "secret" not in failure.reason

    run(main())


def test_names_are_looked_up_off_the_event_loop() -> None:
    assert pycurl.version_info()[4] & pycurl.VERSION_ASYNCHDNS


def test_a_connection_that_is_never_accepted_times_out_and_has_surely_not_delivered(run: Run) -> None:
    async def main() -> None:
        async with sending() as sender:
            with bound(0) as port, socket.create_connection(("127.0.0.1", port)):  # the queue of one is full
                failure = await failure_of(sender, post(f"http://127.0.0.1:{port}/", timeout=0.3))
            assert (failure.code, failure.perhaps) == ("timeout", False)

    run(main())


def test_a_server_silent_in_the_tls_handshake_has_surely_not_been_given_the_request(run: Run) -> None:
    async def main() -> None:
        async with sending() as sender:
            with bound(5) as port:
                failure = await failure_of(sender, post(f"https://127.0.0.1:{port}/", timeout=0.3))
            assert (failure.code, failure.perhaps) == ("timeout", False)

    run(main())


# What goes wrong after


def test_no_answer_in_time_means_perhaps_delivered(run: Run) -> None:
    async def main() -> None:
        async def never(request: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(60)

        async with receiving() as receiver, sending() as sender:
            receiver.answer = never
            failure = await failure_of(sender, post(receiver.url("/?token=secret"), timeout=2.0))
            assert (failure.code, failure.perhaps) == ("timeout", True)
            assert failure.reason == f"127.0.0.1:{receiver.port} did not answer within 2 s."
            assert len(receiver.requests) == 1

    run(main())


@pytest.mark.parametrize(
    "partly", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-"], ids=["nothing", "line", "head"]
)
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_connection_lost_after_the_request_means_perhaps_delivered(run: Run, how: str, partly: bytes) -> None:
    async def main() -> None:
        async def lose(request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(partly)
            await writer.drain()
            if how == "reset":
                reset(writer)
            else:
                writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = lose
            failure = await failure_of(sender, post(receiver.url()))
            assert failure.perhaps
            assert failure.code in (("connection_lost",) if not partly else ("connection_lost", "bad_answer"))
            assert len(receiver.requests) == 1

    run(main())


def test_a_connection_lost_while_the_request_is_being_written_means_perhaps_delivered(run: Run) -> None:
    async def main() -> None:
        async def lose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(1_000)
            reset(writer)

        server = await asyncio.start_server(lose, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, sending() as sender:
            failure = await failure_of(sender, post(f"http://127.0.0.1:{port}/", b"x" * 20_000_000))
            assert (failure.code, failure.perhaps) == ("connection_lost", True)

    run(main())


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("kept", [1, 3])
def test_a_kept_connection_that_dies_after_the_request_does_not_send_it_again(
    run: Run, how: str, method: str, kept: int
) -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
            if request.line.split()[1] == b"/first":
                if len(receiver.requests) == kept:
                    release.set()  # so that the first ones are on a connection each
                await release.wait()
                writer.write(OK)
            elif how == "reset":
                reset(writer)
            else:
                writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = answer
            await asyncio.gather(*(answer_to(sender, post(receiver.url("/first"))) for _ in range(kept)))
            assert receiver.connections == kept
            body = b"" if method == "GET" else b"once=1"
            failure = await failure_of(sender, post(receiver.url("/second"), body, method=method))
            assert (failure.code, failure.perhaps) == ("connection_lost", True)
            seconds = [request for request in receiver.requests if b"/second" in request.line]
            assert [request.body for request in seconds] == [body]
            assert seconds[0].connection <= kept  # it went over one that was kept
            receiver.answer = OK  # and the sender is none the worse for it
            await answer_to(sender, post(receiver.url("/third")))

    run(main())


def test_a_kept_connection_that_dies_with_its_server_is_perhaps_delivered_though_no_new_one_is_accepted(
    run: Run,
) -> None:
    async def main() -> None:
        async with sending() as sender:
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            loop = asyncio.get_running_loop()
            first = asyncio.ensure_future(
                answer_to(sender, post(url := f"http://127.0.0.1:{listener.getsockname()[1]}/"))
            )
            connection, _ = await loop.sock_accept(listener)
            await loop.sock_recv(connection, 10_000)
            await loop.sock_sendall(connection, OK)
            await first
            listener.close()
            second = asyncio.ensure_future(failure_of(sender, post(url)))
            await loop.sock_recv(connection, 10_000)
            connection.close()
            failure = await second
            assert (failure.code, failure.perhaps) == ("connection_lost", True)

    run(main())


def test_a_connection_closed_while_idle_costs_nothing(run: Run) -> None:
    async def main() -> None:
        async def answer_and_close(request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(OK)
            await writer.drain()
            writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = answer_and_close
            for n in range(1, 6):
                await answer_to(sender, post(receiver.url()))
                await until(lambda n=n: receiver.lost == n)  # type: ignore[misc]  # mypy cannot type the default
            assert len(receiver.requests) == 5

    run(main())
