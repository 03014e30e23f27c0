"""A source's own rate limit, met by a real SDK; the gate only writes down."""

import json
from http.client import HTTPConnection
from typing import Any

import segment.analytics as segment

from tests.receiving import Receiving
from tests.running import Milonga, eventually
from tests.sdks.conftest import add_source
from tests.sdks.gate import Gate
from tests.sdks.session import by_name, held

BURST = 10  #: seconds' worth of events that may come at once


def status_of_one_more(milonga: Milonga) -> int:
    """Of a request with an event of another account."""
    event = {"writeKey": "k-limited", "userId": "bob", "event": "one more"}
    connection = HTTPConnection("127.0.0.1", milonga.port)
    connection.request("POST", "/v1/track", json.dumps(event))
    status = connection.getresponse().status
    connection.close()
    return status


def test_python_waits_as_it_is_asked_and_loses_nothing(
    milonga: Milonga, gate: Gate, totango: Receiving, account: str
) -> None:
    """Not in order: this SDK puts a batch that was refused with Retry-After behind what else it has to send."""
    add_source(milonga, totango, "limited", "k-limited")
    milonga.say("sources", "set", "limited", "rateLimit=1")
    eventually(lambda: status_of_one_more(milonga) == 429, "the limit is in force, and used up")
    expected = [{"sdr_a": f"e-{number}", "sdr_m": "Load"} for number in range(BURST + 5)]
    errors: list[Any] = []
    client = segment.Client(
        "k-limited", host=gate.url, upload_size=BURST, on_error=lambda error, _: errors.append(error)
    )
    for one in expected:
        client.track("ada", one["sdr_a"], {"category": "Load"}, context={"groupId": account})
    client.flush()
    client.join()
    assert not errors
    eventually(lambda: len(held(totango, account)) >= len(expected), "all delivered")
    assert by_name(held(totango, account)) == by_name(expected)
    posts = sorted(gate.posts, key=lambda one: one.started)
    refused = next(number for number, one in enumerate(posts) if one.status == 429)
    assert posts[refused + 1].started - posts[refused].answered > posts[refused].asked - 0.1 > 0
