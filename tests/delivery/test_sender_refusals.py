"""What the sender refuses to send: to addresses that are not public, and what is no request."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milonga.delivery.sendable import flaw_of
from tests.delivery.sending import (
    Run,
    answer_to,
    failure_of,
    post,
    receiving,
    sending,
)

# Where may be sent to


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "0177.0.0.1",
    ],
)
def test_private_addresses_are_refused_before_a_connection_is_made(run: Run, host: str) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(allow_private=False) as sender:
            failure = await failure_of(sender, post(receiver.url("/?secret", host=host)))
            assert (failure.code, failure.perhaps) == ("forbidden_address", False)
            assert "--allow-private-destinations" in failure.reason
            assert "address" in failure.reason
            assert "secret" not in failure.reason
            await asyncio.sleep(0)
            assert receiver.connections == 0

    run(main())


def test_the_refusal_names_the_address_behind_the_name(run: Run) -> None:
    async def main() -> None:
        async with sending(allow_private=False) as sender:
            failure = await failure_of(sender, post("http://localhost:9/"))
            assert "localhost:9 leads to " in failure.reason
            assert "127.0.0.1, a loopback address" in failure.reason or "::1, a loopback address" in failure.reason

    run(main())


def test_private_addresses_are_reached_by_number_and_name_when_allowed(run: Run) -> None:
    async def main() -> None:
        async with receiving() as receiver, sending(allow_private=True) as sender:
            for host in ("127.0.0.1", "localhost"):
                assert (await answer_to(sender, post(receiver.url(host=host)))).status == 200

    run(main())


# What cannot be sent at all


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://example.com/"},
        {"url": "file:///etc/passwd"},
        {"url": "example.com"},
        {"url": ""},
        {"url": "http://"},
        {"url": "http:///path"},
        {"url": "http://example.com:99999/"},
        {"url": "http://example.com:http/"},
        {"url": "http://exa mple.com/"},
        {"url": "http://example.com/\r\nX: y"},
        {"url": "http://example.com/\0"},
        {"url": "http://bücher.example/"},
        {"url": "http://[::1/"},
        {"url": "http://exa%zzmple.com/"},
        {"headers": (("X", "a\r\nInjected: b"),)},
        {"headers": (("X", "a\nb"),)},
        {"headers": (("X", "a\0b"),)},
        {"headers": (("X: y\r\nZ", "a"),)},
        {"headers": (("", "a"),)},
        {"headers": (("X;", ""),)},
        {"headers": (("Content-Length", "0"),)},
        {"headers": (("transfer-encoding", "chunked"),)},
        {"headers": (("X", "\ud800"),)},
        {"method": "POST / HTTP/1.1\r\nX: y"},
        {"method": "CONNECT"},
        {"timeout": float("inf")},
    ],
    ids=str,
)
def test_what_cannot_be_sent_is_said_so_and_never_raises(run: Run, changes: dict[str, Any]) -> None:
    async def main() -> None:
        async with sending(max_connections=1) as sender:
            failure = await failure_of(sender, post(**{"url": "http://127.0.0.1:9/?secret", "timeout": 1.0, **changes}))
            assert (failure.code, failure.perhaps) == ("bad_url", False)
            assert "secret" not in failure.reason
            async with receiving() as receiver:
                await answer_to(sender, post(receiver.url()))

    run(main())


@given(name=st.text(max_size=20), value=st.text(max_size=20))
def test_no_header_that_could_start_another_line_is_let_through(name: str, value: str) -> None:
    if flaw_of(post("http://example.com/", headers=((name, value),))) is None:
        assert name
        assert not set("\r\n\0: ;") & set(name)
        assert not set("\r\n\0") & set(value)
