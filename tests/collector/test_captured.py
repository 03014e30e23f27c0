"""Requests recorded from Segment's SDKs, sent again as they were: what arrives, and the answer each SDK needs."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from milonga.spec.event import Account
from tests.collector.parts import Bench, send

CAPTURED = Path(__file__).parent / "captured"


def replay(name: str) -> Bench:
    """Send the requests of one capture over a real socket."""
    bench = Bench()
    with bench.listening() as server:
        for request in json.loads((CAPTURED / f"{name}.json").read_text())["requests"]:
            headers = {key: value for key, value in request["headers"] if key.lower() != "content-length"}
            body = json.dumps(request["body"], ensure_ascii=False, separators=(",", ":")).encode()
            if headers.get("Content-Encoding") == "gzip":
                body = gzip.compress(body)
            answer = send(server, request["method"], request["path"], body, headers)
            # Status 200 exactly (PHP, .NET), a JSON object (Ruby, Java), never a redirect (docs/tracking-api.md).
            assert (answer.status, answer.body) == (200, b'{"success": true}')
            assert answer.headers["content-type"] == "application/json"
    assert bench.ledger.discards == []
    assert {event.stamp.source for event in bench.log.events} <= {1}
    return bench


def sent(name: str) -> list[dict[str, Any]]:
    requests = json.loads((CAPTURED / f"{name}.json").read_text())["requests"]
    return [event for request in requests for event in request["body"].get("batch", [request["body"]])]


NAMES = sorted(path.stem for path in CAPTURED.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_every_captured_event_arrives_once_and_unchanged(name: str) -> None:
    bench = replay(name)
    expected: dict[str, Any] = {}
    for event in sent(name):
        if "messageId" in event:
            expected.setdefault(event["messageId"], event)  # of a retry, the first copy
    assert [event.message_id for event in bench.events] == list(expected)
    for found in bench.events:
        received = expected[found.message_id or ""]
        assert found.received == received
        assert found.type == received["type"]
        assert found.user_id == (None if received.get("userId") is None else str(received["userId"]))
        assert found.anonymous_id == received.get("anonymousId")


def test_the_metrics_of_the_browser_are_not_events() -> None:
    assert replay("browser-metrics").collector.counts["sdk_metrics"] == 1


def test_the_retries_of_the_browser_are_duplicates() -> None:
    bench = replay("browser-unload-requeue")
    assert bench.collector.counts["duplicate"] == len(sent("browser-unload-requeue")) - len(bench.events) > 0


def accounts(name: str) -> list[tuple[str, Account | None]]:
    return [(event.type, event.account) for event in replay(name).events]


def test_the_group_id_of_pythons_context_and_of_its_group_call_is_the_account() -> None:
    assert accounts("python-batch")[:3] == [
        ("identify", Account("acct-9", "context.groupId")),
        ("group", Account("acct-9", "groupId")),
        ("track", Account("acct-9", "context.groupId")),
    ]


def test_the_browser_attaches_the_account_to_calls_after_a_group_call_if_a_middleware_says_so() -> None:
    found = accounts("browser-rendered-source-middleware")
    group = next(number for number, (type_, _) in enumerate(found) if type_ == "group")
    assert all(account is None for _, account in found[:group])
    assert found[group][1] is not None
    assert found[group + 1][1] is not None


def test_rubys_numeric_user_ids_are_written_out() -> None:
    numbers = [event["userId"] for event in sent("ruby-batch") if isinstance(event.get("userId"), int)]
    assert numbers
    assert {str(number) for number in numbers} <= {event.user_id for event in replay("ruby-batch").events}
