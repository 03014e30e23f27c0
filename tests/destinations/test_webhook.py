"""The webhook's settings, lines, signatures and pretend receiver, each by itself."""

import asyncio
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from standardwebhooks import Webhook, WebhookVerificationError

from milonga.delivery.encode import outgoing
from milonga.delivery.masking import secrets_of
from milonga.destinations.contract import Request, Signature, Skip
from milonga.destinations.registry import kind
from milonga.destinations.signing import flaw_of, headers_of
from milonga.destinations.webhook.fake import PretendWebhook
from milonga.destinations.webhook.settings import Settings
from milonga.spec.event import Event
from milonga.workspace.settings import forced, shown
from tests.destinations.client import Client
from tests.destinations.events import event, events

URL = "https://hooks.example.com/"
SECRET = "whsec_" + "c2VjcmV0" * 5
OTHER = "whsec_" + "b3RoZXIh" * 5
ORDERINGS = ("account", "user", "accountAndUser", "none", "properties.a", "context.a.b", "traits.name")


def set_to(**given_settings: Any) -> Settings:
    return msgspec.convert({"url": URL, **given_settings}, Settings)


def request_of(chosen: Settings, **more: Any) -> Request:
    result = kind("webhook").translate(msgspec.structs.replace(event("track", event="Saved"), **more), chosen)
    assert not isinstance(result, Skip)
    return result[0]


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("signingSecrets", "hunter2hunter2hunter2hunter2", "begins with whsec_"),
        ("signingSecrets", "whsec_no*base64", "is base64"),
        ("signingSecrets", "whsec_c2hvcnQ=", "holds 24 to 64 bytes"),
        ("signingSecrets", "whsec_" + "A" * 88, "holds 24 to 64 bytes"),
        ("signingSecrets", " ".join([SECRET] * 6), "5 at most"),
        ("signingSecrets", SECRET + "\u00e9", "base64"),
        ("headers", {"X-A": "a\r\nX-B: b"}, "'X-A' must be at most 2,000 printable"),
        ("headers", {"X-A\r\nX-B": "b"}, "no header name may have"),
        ("headers", {"X A": "b"}, "no header name may have"),
        ("headers", {"X:A": "b"}, "no header name may have"),
        ("headers", {"": "b"}, "no header name may have"),
        ("headers", {"\u212aelvin": "b"}, "no header name may have"),
        ("headers", {"X-A": ""}, "is empty"),
        ("headers", {"X-A": " a"}, "without spaces"),
        ("headers", {"X-A": "\u00e9"}, "printable ASCII"),
        ("headers", {"X-A": "a" * 2_001}, "at most 2,000"),
        ("headers", {"X" * 101: "a"}, "more than 100"),
        ("headers", {f"X-{n}": "a" for n in range(21)}, "20 headers at most"),
        ("headers", {"X-A": "a", "x-a": "b"}, "set twice"),
        ("headers", {"X-A": 1}, r"Expected `str`"),
        ("headers", {"authorization": "a"}, "a setting of its own"),
        ("headers", {"Webhook-Id": "a"}, "belongs to the signature"),
        ("headers", {"Content-Type": "text/plain"}, "Milonga writes it itself"),
        *(("headers", {name: "a"}, "HTTP uses it") for name in ("Host", "content-length", "TE", "Proxy-Authorization")),
        *(("headers", {name: "a"}, "HTTP uses it") for name in ("Transfer-Encoding", "Connection", "Upgrade")),
        ("secretHeaders", "X-Api-Key: hunter2", "JSON object of texts"),
        ("secretHeaders", '{"X-Api-Key": 7}', "JSON object of texts"),
        ("secretHeaders", '{"X-Api-Key": "hunter2\\nX: y"}', "header 1 must be at most"),
        ("secretHeaders", '{"hunter2:": "x"}', "name of header 1"),
        ("method", "GET", "method"),
        ("ordering", "properties", "ordering"),
        ("ordering", "userId", "ordering"),
        ("ordering", "properties..a", "ordering"),
        ("ordering", "properties." + "a." * 10 + "a", "ordering"),
        ("ordering", "none\n", "ordering"),
    ],
)
def test_what_cannot_be_sent_is_refused_when_it_is_set_and_no_secret_is_repeated(
    name: str, value: object, word: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=word) as refused:
        set_to(**{name: value})
    assert "hunter2" not in str(refused.value)


def test_a_header_may_not_be_set_both_openly_and_as_a_secret() -> None:
    with pytest.raises(msgspec.ValidationError, match="set twice"):
        set_to(headers={"X-Key": "a"}, secretHeaders='{"x-key": "b"}')


@pytest.mark.parametrize("ordering", ORDERINGS)
@given(given_event=events)
@settings(max_examples=150, deadline=None)
def test_whatever_the_ordering_every_key_begins_with_the_account_or_what_stands_for_it(
    ordering: str, given_event: Event
) -> None:
    keys = kind("webhook").keys(given_event, set_to(ordering=ordering))
    owner = kind("webhook").keys(given_event, set_to(ordering="account"))
    assert {key[0] for key in keys} <= {key[0] for key in owner}
    assert len(set(keys)) == len(keys)
    assert len(keys) > 0 or ordering == "none" or not owner
    assert [tuple(key) for key in msgspec.json.decode(msgspec.json.encode(keys))] == list(keys)


def test_the_id_of_a_request_names_source_and_message_and_nothing_else_changes_it() -> None:
    chosen = set_to(signingSecrets=SECRET)
    known = request_of(chosen, source=1, message_id="m-1").sign
    assert known is not None
    again = request_of(set_to(signingSecrets=OTHER, method="PUT"), source=1, message_id="m-1", received_at=9).sign
    others = [
        request_of(chosen, source=source, message_id=id_).sign
        for source, id_ in ((2, "m-1"), (1, "m-2"), (11, "m-1"), (1, "1\0m-1"), (1, "\ud83d"), (None, "m-1"))
    ]
    assert again is not None
    assert again.id == known.id
    assert len({known.id, *(other.id for other in others if other is not None)}) == 7
    assert len(known.id) == 36


def test_settings_whose_secrets_are_masked_still_translate_and_show_none() -> None:
    secret = set_to(
        signingSecrets=SECRET,
        authorization="Bearer hunter2",
        secretHeaders='{"X-Key": "hunter2"}',
        headers={"X-A": "a"},
    )
    masked = forced(Settings(), {**shown(secret), "headers": {"X-A": "a"}})
    assert isinstance(masked, Settings)
    request = request_of(masked)
    assert request.headers == {"X-A": "a", "Authorization": "***", "secretHeaders": "***"}
    assert request.secrets == {"Authorization", "secretHeaders"}
    assert request.sign is not None
    assert request.sign.secrets == ("***",)


def test_what_a_request_is_signed_with_counts_as_its_secret() -> None:
    request = request_of(set_to(signingSecrets=f"{SECRET} {OTHER}", secretHeaders='{"X-Key": "hunter2"}'))
    assert set(secrets_of(request)) == {SECRET, OTHER, "hunter2"}


@pytest.mark.parametrize("known", [SECRET, OTHER])
def test_the_libraries_of_standard_webhooks_believe_our_signatures_with_either_secret(known: str) -> None:
    request = request_of(set_to(signingSecrets=f"{SECRET} {OTHER}"))
    call = outgoing(request, timeout=1.0, now=time.time())
    assert Webhook(known).verify(call.body, dict(call.headers))["event"] == "Saved"
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(call.body, dict(call.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(known).verify(call.body + b" ", dict(call.headers))


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({}, None),
        ({"webhook-signature": "v2,x v1,y  v1"}, "signed with another secret, or changed on the way"),
        ({"webhook-signature": "v1,\u00e9\udc80"}, "signed with another secret, or changed on the way"),
        ({"webhook-id": "msg_2"}, "signed with another secret, or changed on the way"),
        ({"webhook-timestamp": "1001"}, "signed with another secret, or changed on the way"),
        ({"webhook-timestamp": "699"}, "signed too long ago, or in the future"),
        ({"webhook-timestamp": "1301"}, "signed too long ago, or in the future"),
        ({"webhook-timestamp": "\u0661"}, "webhook-timestamp is no time"),
        ({"webhook-timestamp": "9" * 5_000}, "webhook-timestamp is no time"),
        ({"webhook-id": ""}, "not signed"),
    ],
)
def test_a_pretend_receiver_says_what_is_wrong_with_a_signature(change: dict[str, str], flaw: str | None) -> None:
    headers = dict(headers_of(Signature("msg_1", (SECRET,)), b"{}", 1_000.0))
    assert flaw_of(headers | change, b"{}", [OTHER, SECRET], 1_000.0) == flaw


def test_a_pretend_webhook_with_secrets_refuses_what_is_not_signed_and_counts_what_came_twice() -> None:
    async def act() -> None:
        async with PretendWebhook(secrets=[SECRET]) as fake, Client(fake.url) as client:
            body = b'{"type":"track"}'
            signed = {
                name.replace("-", "_"): value
                for name, value in headers_of(Signature("msg_1", (OTHER, SECRET)), body, time.time())
            }
            assert [(await client.ask("PUT", "/x", body, **signed)).status for _ in "12"] == [200, 200]
            refused = await client.ask("POST", "/x", body + b" ", **signed)
            assert (refused.status, refused.json()["error"]) == (
                401,
                "This request is signed with another secret, or changed on the way.",
            )
            assert (await client.ask("POST", "/x", body)).status == 401
            fake.behave(status=503, times=1)
            assert (await client.ask("POST", "/x", body)).status == 503
            summary = (await client.ask("GET", "/_summary")).json()
            assert (summary["types"], summary["duplicates"]) == ({"track": 2}, 1)
            assert (summary["signatures"]["good"], summary["signatures"]["not signed"]) == (2, 2)
            assert summary["statuses"] == {"200": 2, "401": 2, "503": 1}
            listed = (await client.ask("GET", "/_requests")).json()
            assert [one["signature"] for one in listed[2:4]] == [
                "signed with another secret, or changed on the way",
                "not signed",
            ]
            assert listed[0]["headers"]["webhook-id"] == "msg_1"
            assert b"Received twice: 1" in (await client.ask("GET", "/")).body

    asyncio.run(act())


def test_a_pretend_webhook_takes_no_secret_that_is_none() -> None:
    with pytest.raises(ValueError, match="begins with whsec_"):
        PretendWebhook(secrets=["hush"])
