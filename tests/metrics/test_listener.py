"""The metrics' own door: one page, and nobody can keep it busy."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from milonga.metrics import listener
from milonga.metrics.listener import MOST_ASKERS, MOST_HEAD, MetricsListener

PAGE = b"milonga_build_info 1\n"


async def page(accept: str) -> tuple[bytes, str]:
    return PAGE + accept.encode(), "text/plain; version=0.0.4"


def listening(ask: Callable[[int], Awaitable[None]], shown: listener.Page = page) -> None:
    async def run() -> None:
        server = await MetricsListener.start(shown, "127.0.0.1", 0)
        try:
            async with asyncio.timeout(60):
                await ask(int(server.url.split(":")[2].split("/")[0]))
        finally:
            await server.stop()

    asyncio.run(run())


async def say(port: int, text: bytes) -> bytes:
    """All that is answered; empty if the connection is cut off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_the_page_is_served_and_knows_what_the_asker_accepts() -> None:
    async def ask(port: int) -> None:
        got = await say(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\naccept:  open/metrics \r\n\r\n")
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
        assert body == PAGE + b"open/metrics"
        assert f"Content-Length: {len(body)}".encode() in head
        assert (await say(port, b"GET /metrics?x=1 HTTP/1.0\r\n\r\n")).endswith(PAGE)
        assert (await say(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")

    listening(ask)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /v1/batch HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\n", b"405"),
        (b"GET /metrics\r\n\r\n", b"405"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"405"),
    ],
)
def test_anything_else_is_refused(text: bytes, status: bytes) -> None:
    async def ask(port: int) -> None:
        assert (await say(port, text)).split()[1] == status

    listening(ask)


def test_an_endless_head_is_cut_off() -> None:
    async def ask(port: int) -> None:
        assert await say(port, b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * MOST_HEAD) == b""

    listening(ask)


def test_who_says_nothing_is_shown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "PATIENCE", 0.05)

    async def ask(port: int) -> None:
        assert await say(port, b"GET /metr") == b""

    listening(ask)


def test_a_crowd_that_says_nothing_is_bounded_and_leaves_room_when_it_goes() -> None:
    async def ask(port: int) -> None:
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_ASKERS)]
        while await say(port, b"GET /metrics HTTP/1.1\r\n\r\n"):
            pass  # until the last of them is in
        for _, writer in crowd:
            writer.close()
        while not await say(port, b"GET /metrics HTTP/1.1\r\n\r\n"):
            pass

    listening(ask)


def test_a_fault_of_ours_is_a_500_and_logged() -> None:
    async def broken(_: str) -> tuple[bytes, str]:
        raise OSError(5, "the disk is gone")

    async def ask(port: int) -> None:
        got = await say(port, b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b" 500 " in got
        assert b"gone" not in got

    with capture_logs() as logs:
        listening(ask, broken)
    assert [line["event"] for line in logs] == ["metrics.failed"]
