"""The sender against real servers on real sockets: what is sent, many requests at once, and its end."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from milonga import __version__
from milonga.delivery.outgoing import NoAnswer, Reply
from milonga.destinations.contract import Answer
from tests.delivery.sending import (
    OK,
    Received,
    Run,
    answer_to,
    bound,
    failure_of,
    post,
    receiving,
    reply_to,
    sending,
    until,
)

# What is sent


def test_a_post_arrives_byte_for_byte(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            body = b"sdr_s=SP-1&sdr_o=acme&sdr_u=a%2Bb%40x.example&sdr_a=Caf%C3%A9+%00"
            answer = await answer_to(sender, post(receiver.url("/pixel.gif/?x=%2F&y=../z"), body))
            assert answer == Answer(200, {}, b"ok")
            (request,) = receiver.requests
            assert request.line == b"POST /pixel.gif/?x=%2F&y=../z HTTP/1.1"
            assert request.body == body
            assert request.headers == {
                b"host": f"127.0.0.1:{receiver.port}".encode(),
                b"user-agent": f"milonga/{__version__}".encode(),
                b"accept": b"*/*",
                b"content-type": b"application/x-www-form-urlencoded",
                b"content-length": str(len(body)).encode(),
            }

    run(main())


def test_each_method_and_header_is_as_asked_for_also_after_another_on_the_same_connection(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(max_connections=1) as sender:
            for method, body in [
                ("GET", b""),
                ("PUT", b"{}"),
                ("DELETE", b""),
                ("POST", b""),
                ("PATCH", b"1"),
                ("GET", b""),
            ]:
                headers = (("X-Empty", ""), ("X-Kind", "ü"), ("User-Agent", "mine"))
                await answer_to(sender, post(receiver.url("/a/../b"), body, method=method, headers=headers))
                request = receiver.requests[-1]
                assert request.line == f"{method} /a/../b HTTP/1.1".encode()
                assert request.body == body
                assert request.headers[b"x-empty"] == b""
                assert request.headers[b"x-kind"] == "ü".encode()
                assert request.headers[b"user-agent"] == b"mine"
                assert b"content-type" not in request.headers
                assert (b"content-length" in request.headers) == (method != "GET")
            assert receiver.connections == 1

    run(main())


def test_a_large_body_is_sent_without_asking_first(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            body = os.urandom(3_000_000)
            await answer_to(sender, post(receiver.url(), body))
            assert receiver.requests[0].body == body
            assert b"expect" not in receiver.requests[0].headers

    run(main())


def test_connections_are_kept_and_used_again(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            for n in range(20):
                await answer_to(sender, post(receiver.url(f"/{n}")))
            assert len(receiver.requests) == 20
            assert receiver.connections == 1

    run(main())


def test_nothing_is_taken_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def main() -> None:
        async with receiving() as receiver, receiving() as proxy:
            for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url())
            monkeypatch.setenv("HOME", str(tmp_path))
            (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
            receiver.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; path=/\r\nContent-Length: 0\r\n\r\n"
            async with sending() as sender:
                for _ in range(2):
                    await answer_to(sender, post(receiver.url()))
            assert len(receiver.requests) == 2
            assert proxy.connections == 0
            assert not {b"authorization", b"cookie", b"proxy-connection"} & set(receiver.requests[1].headers)

    run(main())


# Many at once, and the end


def test_done_is_never_called_from_within_send(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(max_connections=1) as sender:
            calls: list[str] = []
            urls = [receiver.url(), "nonsense", "http://127.0.0.1:1/", receiver.url()]
            for url in urls:
                sender.send(post(url), lambda reply, seconds, url=url: calls.append(url))  # type: ignore[misc]
                assert calls == []
            await until(lambda: len(calls) == len(urls))
            assert sorted(calls) == sorted(urls)

    run(main())


def test_no_more_than_the_cap_are_under_way_and_all_come_back_once(run: Run) -> None:
    async def main() -> None:
        under_way, most = 0, 0

        async def slowly(request: Received, writer: asyncio.StreamWriter) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.005)
            under_way -= 1
            writer.write(OK)

        async with receiving() as receiver, sending(max_connections=8) as sender:
            receiver.answer = slowly
            replies = await asyncio.gather(*(reply_to(sender, post(receiver.url(), b"%d" % n)) for n in range(300)))
            assert all(isinstance(reply, Answer) for reply in replies)
            assert sorted(int(request.body) for request in receiver.requests) == list(range(300))
            assert most == 8
            assert receiver.connections == 8

    run(main())


def test_with_another_cap_what_is_under_way_ends_and_what_waits_has_room_at_once(run: Run) -> None:
    async def main() -> None:
        under_way, most, gate = 0, 0, asyncio.Semaphore(0)

        async def slowly(request: Received, writer: asyncio.StreamWriter) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await gate.acquire()
            under_way -= 1
            writer.write(OK)

        async with receiving() as receiver, sending(max_connections=2) as sender:
            receiver.answer = slowly
            told = asyncio.gather(*(reply_to(sender, post(receiver.url(), b"%d" % n)) for n in range(20)))
            await until(lambda: under_way == 2)
            sender.resize(5)
            await until(lambda: under_way == 5)
            sender.resize(1)
            for _ in range(5):
                gate.release()
            await until(lambda: len(receiver.requests) == 6)
            most = 0
            for _ in range(15):
                gate.release()
            assert all(isinstance(reply, Answer) for reply in await told)
            assert sorted(int(request.body) for request in receiver.requests) == list(range(20))
            assert most <= 1

    run(main())


def test_the_time_in_the_queue_does_not_count(run: Run) -> None:
    async def main() -> None:
        async def slowly(request: Received, writer: asyncio.StreamWriter) -> None:
            if request.line.split()[1] == b"/first":
                await asyncio.sleep(2.2)
            writer.write(OK)

        async with receiving() as receiver, sending(max_connections=1) as sender:
            receiver.answer = slowly
            first, second = post(receiver.url("/first")), post(receiver.url("/second"), timeout=2.0)
            await asyncio.gather(answer_to(sender, first), answer_to(sender, second))
            assert [request.line.split()[1] for request in receiver.requests] == [b"/first", b"/second"]

    run(main())


def test_a_callback_that_fails_is_reported_and_costs_the_others_nothing(run: Run) -> None:
    async def main() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        async with receiving() as receiver, sending(max_connections=1) as sender:
            outgoing = post(receiver.url())
            sender.send(outgoing, lambda reply, seconds: 1 // 0)  # type: ignore[arg-type]
            await answer_to(sender, outgoing)
            assert isinstance(told[0]["exception"], ZeroDivisionError)

    run(main())


def test_a_callback_may_send(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(max_connections=1) as sender:
            finished = asyncio.Event()

            def done(reply: Reply, seconds: float) -> None:
                if len(receiver.requests) == 50:
                    finished.set()
                else:
                    sender.send(post(receiver.url()), done)

            sender.send(post(receiver.url()), done)
            await finished.wait()
            assert receiver.connections == 1

    run(main())


def test_close_waits_for_what_is_under_way_and_queued_and_takes_no_more(run: Run) -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def wait(request: Received, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            writer.write(OK)

        async with receiving() as receiver, sending(max_connections=2) as sender:
            receiver.answer = wait
            replies = [asyncio.ensure_future(reply_to(sender, post(receiver.url()))) for _ in range(5)]
            await receiver.arrived.wait()
            closing = asyncio.ensure_future(sender.close(10))
            await asyncio.sleep(0)
            late = await failure_of(sender, post(receiver.url()))
            assert (late.code, late.perhaps) == ("connection_lost", False)
            assert not closing.done()
            release.set()
            await closing
            assert all(isinstance(reply, Answer) for reply in await asyncio.gather(*replies))
            await until(lambda: receiver.lost == receiver.connections == 2)

    run(main())


def test_close_breaks_off_what_takes_longer_than_the_grace_and_says_what_was_perhaps_delivered(run: Run) -> None:
    async def main() -> None:
        async def never(request: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(60)

        async with receiving() as receiver, sending(max_connections=2) as sender:
            receiver.answer = never
            ended: list[Reply] = []
            for _ in range(5):
                sender.send(post(receiver.url()), lambda reply, seconds: ended.append(reply))
            await until(lambda: len(receiver.requests) == 2)
            await sender.close(0.05)
            assert len(ended) == 5
            assert all(isinstance(reply, NoAnswer) and reply.code == "connection_lost" for reply in ended)
            assert sorted(isinstance(reply, NoAnswer) and reply.perhaps for reply in ended) == [False] * 3 + [True] * 2
            await sender.close(0.05)  # a second time does no harm

    run(main())


def test_no_descriptor_is_left_behind(run: Run) -> None:
    async def main() -> None:
        def descriptors() -> int:
            return len(list(Path("/proc/self/fd").iterdir()))

        async with receiving() as receiver:
            before = descriptors()
            for _ in range(5):
                async with sending() as sender:
                    await asyncio.gather(*(answer_to(sender, post(receiver.url())) for _ in range(10)))
                    with bound(None) as port:
                        await failure_of(sender, post(f"http://127.0.0.1:{port}/"))
            await until(lambda: receiver.lost == receiver.connections)
            await until(lambda: descriptors() <= before)

    run(main())
