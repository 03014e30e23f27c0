"""SDKs of phones and desktops that cannot be run here: none sends a header with the key; it stands in the body."""

from typing import Any

from tests.receiving import Receiving
from tests.sdks.by_hand import SENT_AT, calls, dressed, post
from tests.sdks.gate import Gate
from tests.sdks.session import KEY, ON_PHONES, check_held

PHONE: dict[str, Any] = {
    "app": {"name": "Tests", "version": "1.0", "build": "1", "namespace": "com.example.tests"},
    "device": {"id": "5A3F", "manufacturer": "Apple", "model": "iPhone17,1", "name": "iPhone", "type": "ios"},
    "os": {"name": "iOS", "version": "18.0"},
    "screen": {"width": 600, "height": 800},
    "network": {"bluetooth": False, "cellular": False, "wifi": True},
    "locale": "en-US",
    "timezone": "Europe/Madrid",
}
NEWER = {"anonymousId": "0F-A", "integrations": {}, "_metadata": {"bundled": [], "unbundled": [], "bundledIds": []}}
"""What the SDKs of Swift, Kotlin, React Native, Flutter and C# have in common."""
UTF8 = "application/json; charset=utf-8"


def batch(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {"batch": events, "sentAt": SENT_AT, "writeKey": KEY}


def test_what_swift_1_9_4_sends(gate: Gate, totango: Receiving, account: str) -> None:
    """Ids in capital letters; `Accept-Encoding` where one would expect `Content-Encoding`."""
    events = dressed(
        calls(account, screen=True),
        library="analytics-swift",
        version="1.9.4",
        more=NEWER,
        instanceId="C0FFEE00-0000-4000-8000-000000000000",
        **PHONE,
    )
    for event in events:
        event["messageId"] = event["messageId"].upper()
    post(gate, "/v1/b", batch(events), content_type=UTF8, accept_encoding="gzip", user_agent="analytics-ios/1.9.4")
    check_held(totango, account, ON_PHONES)


def test_what_flutter_1_1_10_sends(gate: Gate, totango: Receiving, account: str) -> None:
    events = dressed(calls(account, screen=True), library="analytics_flutter", version="1.1.10", more=NEWER, **PHONE)
    post(gate, "/v1/b", batch(events), content_type=UTF8, user_agent="analytics-flutter/1.1.10")
    check_held(totango, account, ON_PHONES)


def test_what_csharp_2_6_0_sends(gate: Gate, totango: Receiving, account: str) -> None:
    """Packed, and neither content type nor user agent."""
    events = dressed(calls(account, screen=True), library="Analytics-CSharp", version="2.6.0", more=NEWER)
    post(gate, "/v1/b", batch(events), packed=True)
    assert not {"content-type", "user-agent", "authorization"} & set(gate.posts[0].headers)
    check_held(totango, account, ON_PHONES)


def test_what_kotlin_sends_where_the_phones_own_client_streams(gate: Gate, totango: Receiving, account: str) -> None:
    """Packed, in chunks. (On a computer it sends a length: tests/sdks/test_kotlin.py.)"""
    events = dressed(calls(account, screen=True), library="analytics-kotlin", version="1.24.1", more=NEWER, **PHONE)
    post(
        gate,
        "/v1/b",
        batch(events),
        packed=True,
        chunked=True,
        content_type="text/plain",
        user_agent="analytics-kotlin/1.24.1",
    )
    check_held(totango, account, ON_PHONES)


def test_what_android_4_11_4_sends(gate: Gate, totango: Receiving, account: str) -> None:
    """To /v1/import, packed, in chunks; the user's traits in every context."""
    traits = {"anonymousId": "0f-a", "userId": "ada", "name": "Ada"}
    events = dressed(
        calls(account, screen=True),
        library="analytics-android",
        version="4.11.4",
        more={"anonymousId": "0f-a", "integrations": {}},
        **PHONE,
        traits=traits,
    )
    post(
        gate,
        "/v1/import",
        batch(events),
        packed=True,
        chunked=True,
        content_type="application/json",
        user_agent="analytics-android/4.11.4",
    )
    check_held(totango, account, ON_PHONES)


def test_what_ios_4_1_8_sends(gate: Gate, totango: Receiving, account: str) -> None:
    """To /v1/batch, packed."""
    events = dressed(
        calls(account, screen=True),
        library="analytics-ios",
        version="4.1.8",
        more={"anonymousId": "0F-A", "integrations": {}},
        **PHONE,
    )
    post(
        gate,
        "/v1/batch",
        batch(events),
        packed=True,
        content_type="application/json",
        user_agent="analytics-ios/4.1.8",
    )
    check_held(totango, account, ON_PHONES)
