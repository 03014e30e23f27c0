"""Closing a listener: whoever is just being let in is let in whole, or not at all."""

import asyncio
import gc
import socket

import pytest
import uvloop

from milonga.destinations.listener import close_listener


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_who_is_let_in_as_the_listener_closes_leaves_no_socket_open(new_loop: object) -> None:
    wrong: list[object] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        for turns in range(6):  # of the loop between a connection and the end: it may be anywhere on its way in
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            with socket.create_connection(server.sockets[0].getsockname()):
                for _ in range(turns):
                    await asyncio.sleep(0)
                await close_listener(server)
                await asyncio.sleep(0)
        gc.collect()

    with asyncio.Runner(loop_factory=new_loop) as runner:  # type: ignore[arg-type]
        runner.run(ask())
    assert wrong == []
