"""SDKs of servers that cannot be run here: PHP, .NET and Ruby."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.receiving import Receiving
from tests.running import eventually
from tests.sdks.by_hand import BASIC, answer, calls, dressed, post
from tests.sdks.gate import Gate
from tests.sdks.session import ON_SERVERS, check_held

CAPTURED = Path(__file__).parent.parent / "collector" / "captured"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compress_request"])
def test_what_php_3_8_2_sends(gate: Gate, totango: Receiving, account: str, packed: bool) -> None:
    """Empty maps as lists, times without fractions, the key in the header only."""
    library = {"name": "analytics-php", "version": "3.8.2", "consumer": "LibCurl"}
    events = dressed(calls(account), library=None, stamp=lambda _: "2026-11-22T01:12:14+00:00")
    for event in events:
        event["context"]["library"] = library
        event.update({name: [] for name in ("properties", "traits") if event.get(name) == {}})
    assert any(event.get("properties") == [] for event in events)
    post(
        gate,
        "/v1/batch",
        {"batch": events, "sentAt": "2026-11-22T01:12:15+00:00"},
        packed=packed,
        authorization=BASIC,
        content_type="application/json",
        user_agent="analytics-php/3.8.2",
    )
    check_held(totango, account, ON_SERVERS)


@pytest.mark.parametrize(
    "time", ["2026-11-22T02:12:14.1234567+01:00", "2026-11-22T01:12:14.1234567Z", "2026-11-22T01:12:14.1234567"]
)
def test_what_net_3_8_1_sends(gate: Gate, totango: Receiving, account: str, time: str) -> None:
    """To /v1/import, with an id of the batch that is no event's, and times as .NET writes them, also without offset."""
    batch_id = str(uuid4())
    events = dressed(calls(account), library="Analytics.NET", version="3.8.1", stamp=lambda _: time)
    body = {"batch": events, "messageId": batch_id, "sentAt": time}
    post(
        gate,
        "/v1/import",
        body,
        packed=True,
        authorization=BASIC,
        content_type="application/json",
        user_agent="Analytics.NET/3.8.1",
    )
    check_held(totango, account, ON_SERVERS)


def test_what_ruby_2_5_0_sent(gate: Gate, totango: Receiving, account: str) -> None:
    """
    Captured from it: numeric ids, no key in the body, to /v1/import. A page of an anonymous visitor, a screen and an
    alias are nothing for Totango.
    """
    (request,) = json.loads((CAPTURED / "ruby-batch.json").read_text())["requests"]
    body = json.dumps(request["body"]).replace("acct-9", account).replace("my-msg-id", f"{account}-msg").encode()
    headers = {name: value for name, value in request["headers"] if name.lower() not in {"content-length", "host"}}
    for _ in range(2):
        assert answer(gate, request["method"], request["path"], body, headers)[0] == 200
    service = {"sdr_s": "SP-12345-01", "sdr_o": account}
    expected = [
        {**service, "sdr_u": "user-1", "sdr_u.email": "u1@example.com", "sdr_u.age": "42"},
        {**service, "sdr_u": "user-1", "sdr_o.account_name": "Initech", "sdr_o.Status": "Paying"},
        {**service, "sdr_u": "12345", "sdr_a": "Completed Purchase", "sdr_m": "Conversion"},
    ]

    def found() -> list[dict[str, str]]:
        return [dict(seen.params) for seen in totango.accepted() if seen.params["sdr_o"] == account]

    eventually(lambda: len(found()) >= 3, "delivered")
    assert sorted(found(), key=str) == sorted(expected, key=str)  # user 12345 waits for nobody else
