"""A pretend receiver on a real socket: what it takes, records and shows."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from milonga.destinations import listener, pretend
from milonga.destinations.pretend import Pretend, form
from milonga.destinations.totango.fake import GIF, Totango
from milonga.destinations.webhook.fake import PretendWebhook
from tests.destinations.client import Client
from tests.destinations.pretending import with_totango


@pytest.mark.parametrize("path", ["/pixel.gif", "/pixel.gif/"])
def test_whatever_is_sent_the_answer_is_200_and_a_gif(path: str) -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        for answer in (
            await client.post(path, sdr_s="SP-1-01", sdr_o="acme"),
            await client.ask("GET", path),
            await client.ask("POST", path, b"\xff%zz=&&=", content_type="text/nonsense"),
            await client.ask("PUT", path, b"{}"),
        ):
            assert (answer.status, answer.headers["content-type"]) == (200, "image/gif")
            assert answer.body == GIF
            assert len(answer.body) == 43
        assert [seen.method for seen in fake.requests] == ["POST", "GET", "POST", "PUT"]

    with_totango(act)


def test_it_serves_a_stand_in_for_totangos_script_which_is_no_request_to_totango() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        answer = await client.ask("GET", "/totango.js")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert b"window.totango_options" in answer.body
        assert (await client.ask("POST", "/totango.js", b"")).status == 404
        assert fake.received == 0

    with_totango(act)


def test_the_older_name_of_an_accounts_name_is_understood() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        await client.ask("GET", "/pixel.gif/?sdr_o=acme&sdr_odn=Acme%20Inc.")
        assert fake.receiver.accounts["acme"].attributes == {"account_name": "Acme Inc."}

    with_totango(act)


def test_parameters_are_taken_from_the_query_the_form_and_both_mixed() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        await client.ask("GET", "/pixel.gif?sdr_o=acme&sdr_o.Create%20Date=2014&sdr_a=A+B%26C&empty=")
        await client.ask("POST", "/pixel.gif/?sdr_o=acme&sdr_m=old", b"sdr_m=m%C3%A9&sdr_u=ada%40x")
        assert [dict(seen.params) for seen in fake.requests] == [
            {"sdr_o": "acme", "sdr_o.Create Date": "2014", "sdr_a": "A B&C", "empty": ""},
            {"sdr_o": "acme", "sdr_m": "mé", "sdr_u": "ada@x"},
        ]

    with_totango(act)


def test_a_form_is_read_as_forms_are_written() -> None:
    assert form(b"a=1&b=%C3%A9+x&a=2&c&=d&&e=%e9&%zz=%&f=\xc3\xbc&g=a=b") == {
        "a": "2",
        "b": "é x",
        "c": "",
        "": "d",
        "e": "\N{REPLACEMENT CHARACTER}",
        "%zz": "%",
        "f": "ü",
        "g": "a=b",
    }


def test_requests_are_listed_with_what_arrived_and_what_was_answered() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        before = time.time()
        await client.post(sdr_o="acme")
        fake.behave(status=503, times=1)
        await client.post(sdr_o="other")
        listed = (await client.ask("GET", "/_requests")).json()
        assert [(each["method"], each["path"], each["params"], each["status"]) for each in listed] == [
            ("POST", "/pixel.gif/", {"sdr_o": "acme"}, 200),
            ("POST", "/pixel.gif/", {"sdr_o": "other"}, 503),
        ]
        assert before - 1 <= listed[0]["received_at"] < listed[1]["received_at"] <= time.time() + 1
        assert all(each["started"] <= each["ended"] for each in listed)

    with_totango(act)


def test_since_and_limit_page_through_all_requests_without_loss() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        for number in range(10):
            await client.post(sdr_o=str(number))
        found: list[str] = []
        since = 0.0
        while page := (await client.ask("GET", f"/_requests?since={since!r}&limit=3")).json():
            assert len(page) <= 3
            found += [each["params"]["sdr_o"] for each in page]
            since = page[-1]["received_at"]
        assert found == [str(number) for number in range(10)]
        assert (await client.ask("GET", "/_requests?since=soon")).status == 400

    with_totango(act)


def test_only_the_newest_requests_are_kept_and_the_others_counted_as_forgotten() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        for number in range(5):
            await client.post(sdr_o=str(number))
        assert [seen.params["sdr_o"] for seen in fake.requests] == ["3", "4"]
        summary = (await client.ask("GET", "/_summary")).json()
        assert (summary["requests"], summary["kept"], summary["forgotten"]) == (5, 2, 3)
        assert summary["accounts"] == 5

    with_totango(act, keep=2)


def test_huge_requests_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretend, "MAX_HELD", 100)

    async def act(fake: Pretend[Totango], client: Client) -> None:
        await client.post(sdr_o="a" * 60)
        await client.post(sdr_o="b" * 60)
        assert [seen.params["sdr_o"][0] for seen in fake.requests] == ["b"]
        await client.post(sdr_o="c" * 200)
        assert (list(fake.requests), fake.forgotten) == ([], 3)

    with_totango(act)


def test_a_sender_that_takes_no_answers_is_not_read_from() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        request = b"POST /pixel.gif/ HTTP/1.1\r\ncontent-length: 10\r\n\r\nsdr_o=acme"
        quiet = sent = 0
        while quiet < 5:  # until nothing more is taken from us
            client.writer.write(request * 1000)
            sent += 1000
            received = fake.received
            await asyncio.sleep(0.02)
            quiet = quiet + 1 if fake.received == received else 0
            assert sent < 1_000_000
        assert fake.received < sent
        for _ in range(sent):
            assert (await client.answer()).status == 200
        assert fake.received == sent

    with_totango(act)


def test_requests_can_be_deleted() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        await client.post(sdr_o="acme")
        assert (await client.ask("DELETE", "/_requests")).status == 200
        assert (await client.ask("GET", "/_requests")).json() == []
        summary = (await client.ask("GET", "/_summary")).json()
        assert (summary["requests"], summary["accounts"], summary["statuses"]) == (0, 0, {})

    with_totango(act)


def test_the_summary_counts_accounts_users_activities_and_statuses() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        await client.post(sdr_o="acme", sdr_u="ada", sdr_a="Saved", sdr_m="Editor")
        await client.post(sdr_o="acme", sdr_u="bob", sdr_a="Saved", sdr_m="Editor")
        await client.post(sdr_o="other")
        assert (await client.ask("GET", "/nowhere")).status == 404
        assert (await client.ask("GET", "/_summary")).json() == {
            "requests": 3,
            "kept": 3,
            "forgotten": 0,
            "in_flight": 0,
            "elsewhere": 1,
            "statuses": {"200": 3},
            "accounts": 2,
            "users": 2,
            "activities": 2,
        }

    with_totango(act)


def test_a_connection_is_closed_when_the_sender_asks_for_it() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        answer = await client.ask("POST", "/pixel.gif/", b"sdr_o=acme", connection="close")
        assert answer.status == 200
        assert await client.closed()

    with_totango(act)


def test_a_body_beyond_the_bound_is_refused_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_BODY", 100)

    async def act(fake: Pretend[Totango], client: Client) -> None:
        await client.send("POST", "/pixel.gif/", b"x" * 101)
        assert (await client.answer()).status == 413
        assert await client.closed()
        assert fake.received == 0

    with_totango(act)


def test_endless_headers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_HEAD", 1000)

    async def act(fake: Pretend[Totango], client: Client) -> None:
        client.writer.write(b"GET /pixel.gif HTTP/1.1\r\n")
        for _ in range(20):
            client.writer.write(b"x: " + b"y" * 100 + b"\r\n")
        assert (await client.answer()).status == 431
        assert await client.closed()

    with_totango(act)


def test_what_is_no_http_is_refused() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        client.writer.write(b"tango\r\n\r\n")
        assert (await client.answer()).status == 400
        assert await client.closed()

    with_totango(act)


def test_the_page_shows_what_totango_would_hold_and_escapes_it_all() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> str:
        await client.post(
            sdr_s="SP-1-01",
            **{"api-token": "hush"},
            sdr_o="<acme>",
            sdr_u="ada&co",
            sdr_a='"Saved"',
            sdr_m="<Editor>",
            sdr_o__account_name="Acme <b>",
            sdr_o__Status="Free",
            sdr_u__name="Ada <i>",
        )
        answer = await client.ask("GET", "/")
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        return answer.body.decode()

    page = with_totango(act)
    for shown in (
        "&lt;acme&gt;",
        "ada&amp;co",
        "&quot;Saved&quot;",
        "&lt;Editor&gt;",
        "Acme &lt;b&gt;",
        "Status",
        "Free",
    ):
        assert shown in page
    assert "name: Ada &lt;i&gt;" in page
    for hidden in ("hush", "<acme>", "<b>", "<i>", "<script", "src=", "href="):
        assert hidden not in page


def test_the_page_names_the_service_and_warns_when_there_are_several() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        async def page() -> str:
            return (await client.ask("GET", "/")).body.decode()

        assert "<h1>Pretend Totango</h1>" in await page()
        await client.post(sdr_s="SP-1-01", sdr_o="acme")
        await client.post(sdr_s="SP-1-01")
        one = await page()
        assert "<h1>Pretend Totango: service SP-1-01</h1>" in one
        assert "class=warning" not in one
        await client.post(sdr_s="<SP-2>", sdr_o="acme")
        two = await page()
        assert "<h1>Pretend Totango: services SP-1-01, &lt;SP-2&gt;</h1>" in two
        assert "Requests named 2 Service IDs: SP-1-01 (2), &lt;SP-2&gt; (1)." in two
        assert "<SP-2>" not in two
        for number in range(200):
            await client.post(sdr_s=f"SP-{number}")
        assert "and 95 more</h1>" in await page()
        await client.ask("DELETE", "/_requests")
        assert "<h1>Pretend Totango</h1>" in await page()

    with_totango(act)


def test_everything_is_an_upsert() -> None:
    async def act(fake: Pretend[Totango], client: Client) -> None:
        await client.post(sdr_o="acme", sdr_o__Status="Free", sdr_o__x="1")
        await client.post(
            sdr_o="acme", sdr_o__Status="Paying", sdr_u="ada", sdr_u__name="Ada", sdr_a="Saved", sdr_m="E"
        )
        await client.post(sdr_o="acme", sdr_u="ada", sdr_a="Saved", sdr_m="E")
        await client.post(sdr_u="nobody's")
        account = fake.receiver.accounts["acme"]
        assert list(fake.receiver.accounts) == ["acme"]
        assert account.attributes == {"Status": "Paying", "x": "1"}
        assert {user: known.attributes for user, known in account.users.items()} == {"ada": {"name": "Ada"}}
        assert account.activities == {("E", "Saved"): 2}

    with_totango(act)


def test_a_pretend_webhook_takes_json_at_any_path() -> None:
    async def act() -> None:
        async with PretendWebhook() as fake, Client(fake.url) as client:
            fake.behave(status=[500, 200], match={"event": "Saved"})
            event: dict[str, Any] = {"type": "track", "event": "Saved", "properties": {"n": 1}}
            sent = msgspec.json.encode(event)
            statuses = [(await client.ask("POST", "/hooks/x?y=z", sent, authorization="Bearer a")).status for _ in "12"]
            assert statuses == [500, 200]
            assert (await client.ask("POST", "/", b"\xff no JSON")).status == 200
            assert fake.requests[0].params == event
            assert fake.requests[0].headers["authorization"] == "Bearer a"
            assert fake.requests[2].params == {"body": "\N{REPLACEMENT CHARACTER} no JSON"}
            assert (await client.ask("GET", "/_summary")).json()["types"] == {"track": 1}
            assert b"track: 1" in (await client.ask("GET", "/")).body

    asyncio.run(act())
