"""What a batch says for all its events."""

import json
from http.client import HTTPConnection

from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Milonga, eventually, track


def post(milonga: Milonga, body: object) -> int:
    connection = HTTPConnection("127.0.0.1", milonga.port, timeout=10)
    try:
        connection.request("POST", "/v1/batch", json.dumps(body))
        return connection.getresponse().status
    finally:
        connection.close()


def test_events_whose_batch_has_a_context_reach_totango_once(milonga: Milonga, totango: Receiving) -> None:
    """As Java's SDK writes batches."""
    events = [track(number, "ada", "unused") for number in range(3)]
    for event in events:
        del event["context"]
    batch = {
        "writeKey": KEY,
        "sentAt": "2026-11-22T00:00:00.000Z",
        "context": {"library": {"name": "analytics-java", "version": "3.5.2"}, "groupId": "acme"},
        "integrations": {"All": False, "Totango": True},
        "batch": events,
    }
    assert [post(milonga, batch) for _ in range(3)] == [200] * 3
    other = {**batch, "context": {"groupId": "other"}, "batch": [{**events[0], "messageId": "last"}]}
    assert post(milonga, other) == 200
    eventually(lambda: totango.received() >= 4, "all delivered")
    eventually(lambda: milonga.explain("last")["state"] == "delivered", "delivered")
    found = sorted((seen.params["sdr_o"], seen.params["sdr_a"]) for seen in totango.accepted())
    assert found == [("acme", "e-0"), ("acme", "e-1"), ("acme", "e-2"), ("other", "e-0")]
    assert milonga.explain("m-0")["state"] == "delivered"
    assert len(milonga.ask("events", "list")) == 4
