"""Clients that look at every byte, polite or not, and patience with them that a test can wait for."""

import asyncio
import socket
import time
from collections.abc import Callable

from milonga.collector.connection import Patience
from tests.collector.parts import Server

QUICK = Patience(head=0.1, stall=0.1, body=0.1, take=0.1, idle=0.1, linger=0.1, tick=0.02)

LAST = b"Connection: close"

ALIVE = b"GET /healthz HTTP/1.1\r\n\r\n"


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
