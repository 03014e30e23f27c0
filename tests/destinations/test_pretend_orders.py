"""How a pretend receiver misbehaves when it is told to, and what it records of it."""

import asyncio

import msgspec
import pytest

from milonga.destinations.pretend import Pretend
from milonga.destinations.totango.fake import GIF, Totango
from tests.destinations.client import Client
from tests.destinations.pretending import until, with_totango


def test_orders_come_over_http_too_and_can_be_read_and_withdrawn() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        order = {"status": [429, 200], "headers": {"Retry-After": "2"}, "match": {"sdr_o": "acme"}}
        assert (await client.ask("POST", "/_behavior", msgspec.json.encode(order))).status == 200
        refused = await client.post(sdr_o="acme")
        assert (refused.status, refused.headers["retry-after"], refused.body) == (429, "2", b"")
        assert (await client.post(sdr_o="other")).status == 200
        assert (await client.post(sdr_o="acme")).body == GIF
        active = (await client.ask("GET", "/_behavior")).json()
        assert [each["match"] for each in active] == [{"sdr_o": "acme"}]
        assert (await client.ask("DELETE", "/_behavior")).status == 200
        assert (await client.post(sdr_o="acme")).status == 200

    with_totango(act)


@pytest.mark.parametrize("order", [b'{"status": 42}', b"[]", b"{", b"\xff", b'{"unknown": 1}'])
def test_an_order_that_cannot_be_understood_is_refused_in_words(order: bytes) -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        answer = await client.ask("POST", "/_behavior", order)
        assert answer.status == 400
        assert answer.json()["error"]
        assert (await client.post(sdr_o="acme")).status == 200

    with_totango(act)


def test_a_connection_dropped_before_leaves_a_record_and_no_account() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        fake.behave(drop="before", times=1)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.post(sdr_o="acme")
        await until(lambda: fake.in_flight == 0)
        async with Client(fake.url) as another:
            (listed,) = (await another.ask("GET", "/_requests")).json()
        assert (listed["params"], listed["status"], listed["drop"]) == ({"sdr_o": "acme"}, None, "before")
        assert listed["ended"] is not None
        assert fake.receiver.accounts == {}

    with_totango(act)


def test_a_connection_dropped_after_leaves_a_record_and_the_account() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        fake.behave(drop="after", times=1)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.post(sdr_o="acme")
        assert (fake.requests[0].status, fake.requests[0].drop) == (None, "after")
        assert list(fake.receiver.accounts) == ["acme"]

    with_totango(act)


def test_a_refused_request_changes_no_account() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        fake.behave(status=500)
        await client.post(sdr_o="acme")
        assert fake.receiver.accounts == {}

    with_totango(act)


def test_a_delayed_request_is_in_flight_until_it_is_answered() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        fake.behave(delay_ms=50, match={"sdr_o": "slow"})
        await client.send("POST", "/pixel.gif/", b"sdr_o=slow")
        async with Client(fake.url) as another:
            await another.post(sdr_o="quick")
            await until(lambda: fake.received == 2)
        slow = next(seen for seen in fake.requests if seen.params["sdr_o"] == "slow")
        assert (await client.answer()).status == 200
        assert slow.ended is not None
        assert slow.ended - slow.started >= 0.045
        assert fake.in_flight == 0

    with_totango(act)


def test_overlapping_requests_can_be_told_from_those_that_wait_for_each_other() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        fake.behave(delay_ms=30)
        async with Client(fake.url) as another:
            await asyncio.gather(client.post(sdr_o="a"), another.post(sdr_o="b"))
        await client.post(sdr_o="c")
        a, b, c = sorted(fake.requests, key=lambda seen: str(seen.params["sdr_o"]))
        assert a.ended is not None
        assert b.ended is not None
        assert max(a.started, b.started) < min(a.ended, b.ended)
        assert c.started >= max(a.ended, b.ended)

    with_totango(act)


def test_a_sender_that_gives_up_during_a_delay_is_no_longer_in_flight() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        fake.behave(delay_ms=600_000)
        await client.send("POST", "/pixel.gif/", b"sdr_o=acme")
        await until(lambda: fake.in_flight == 1)
        client.writer.close()
        await until(lambda: fake.in_flight == 0)
        assert fake.requests[0].status is None
        assert fake.requests[0].ended is not None

    with_totango(act)


def test_requests_sent_without_waiting_are_answered_in_their_order() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        fake.behave(status=503, delay_ms=30, match={"sdr_o": "0"})
        fake.behave(status=500, match={"sdr_o": "2"})
        for number in range(4):
            await client.send("POST", "/pixel.gif/", f"sdr_o={number}".encode())
        assert [(await client.answer()).status for _ in range(4)] == [503, 200, 500, 200]
        assert [seen.params["sdr_o"] for seen in fake.requests] == ["0", "1", "2", "3"]

    with_totango(act)
