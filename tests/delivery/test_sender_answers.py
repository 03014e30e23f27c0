"""What the sender makes of what comes back, whole or broken."""

import asyncio

import pytest

from milonga.destinations.contract import Answer
from tests.delivery.sending import (
    Received,
    Run,
    answer_to,
    failure_of,
    post,
    receiving,
    sending,
    until,
)


def test_an_answers_status_first_bytes_and_useful_headers_are_kept(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            receiver.answer = (
                b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nRETRY-AFTER:  17 \r\nContent-Type: text/plain\r\n"
                b"X-Other: " + b"x" * 500 + b"\r\nContent-Length: 3000\r\n\r\n" + b"0123456789" * 300
            )
            answer = await answer_to(sender, post(receiver.url()))
            assert answer == Answer(429, {"retry-after": "17", "content-type": "text/plain"}, b"0123456789" * 100)

    run(main())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(run: Run, status: int) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            to = receiver.url("/elsewhere")
            receiver.answer = f"HTTP/1.1 {status} Go\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()
            assert await answer_to(sender, post(receiver.url())) == Answer(status, {"location": to}, b"")
            assert len(receiver.requests) == 1

    run(main())


def test_a_compressed_answer_is_left_as_it_is(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\x00"
            assert (await answer_to(sender, post(receiver.url()))).body == b"\x1f\x8b\x00\x00"

    run(main())


def test_informational_answers_before_and_trailers_after_change_nothing(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            receiver.answer = (
                b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
                b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\nTrailer: Retry-After\r\n\r\n"
                b"2\r\nno\r\n0\r\nRetry-After: 99\r\n\r\n"
            )
            for _ in range(2):
                assert await answer_to(sender, post(receiver.url())) == Answer(503, {}, b"no")
            assert receiver.connections == 1

    run(main())


def test_an_endless_answer_is_cut_off(run: Run) -> None:
    async def main() -> None:
        written = 0

        async def endless(request: Received, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 10_000)
                await writer.drain()
                written += 10_000

        async with receiving() as receiver, sending() as sender:
            receiver.answer = endless
            answer = await answer_to(sender, post(receiver.url()))
            assert answer == Answer(200, {}, b"x" * 1_000)
            await until(lambda: receiver.lost == 1)
            assert written < 20_000_000  # what fits into the kernel's buffers on both sides

    run(main())


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nno chunk"],
    ids=["broken off", "bad chunk"],
)
def test_a_whole_head_is_an_answer_though_its_body_is_broken(run: Run, rest: bytes) -> None:
    async def main() -> None:
        async def half(request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 201 Created\r\n" + rest)
            await writer.drain()
            writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = half
            assert await answer_to(sender, post(receiver.url())) == Answer(201, {}, b"half")

    run(main())


def test_a_whole_head_is_an_answer_though_its_body_never_ends(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending() as sender:
            receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
            assert await answer_to(sender, post(receiver.url(), timeout=2.0)) == Answer(200, {}, b"half")

    run(main())


@pytest.mark.parametrize(
    "garbage",
    [
        b"GIF89a, not HTTP\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 \r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNul: \0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-More: more\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    ],
    ids=lambda garbage: repr(garbage[:40])[2:-1],
)
def test_what_is_not_http_is_a_bad_answer_and_the_request_has_perhaps_arrived(run: Run, garbage: bytes) -> None:
    async def main() -> None:
        async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(garbage)
            await writer.drain()
            writer.close()

        async with receiving() as receiver, sending() as sender:
            receiver.answer = answer
            failure = await failure_of(sender, post(receiver.url()))
            assert (failure.code, failure.perhaps) == ("bad_answer", True)
            assert len(receiver.requests) == 1

    run(main())
