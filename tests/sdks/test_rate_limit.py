"""A source's own rate limit, met by a real SDK, with no gate between that could answer for Milonga."""

from typing import Any

import segment.analytics as segment

from tests.receiving import Receiving
from tests.running import Milonga, eventually
from tests.sdks.session import by_name, held

RATE = 5  #: events a second
BURST = 10  #: seconds' worth of events that may come at once


def test_python_waits_as_it_is_asked_and_loses_nothing(milonga: Milonga, totango: Receiving, account: str) -> None:
    """Not in order: this SDK puts a batch that was refused with Retry-After behind what else it has to send."""
    milonga.say("sources", "add", "limited", "--write-key", "k-limited")
    milonga.say("sources", "set", "limited", f"rateLimit={RATE}")
    milonga.say(
        *("destinations", "add", "totango", "--source", "limited", "--name", "limited"),
        *("--set", "serviceId=SP-12345-01", "--set", f"endpoint={totango.url}/pixel.gif/"),
    )
    expected = [{"sdr_a": f"e-{number}", "sdr_m": "Load"} for number in range(RATE * BURST + 6)]
    errors: list[Any] = []
    client = segment.Client(
        "k-limited", host=milonga.url, upload_size=10, on_error=lambda error, _: errors.append(error)
    )
    for one in expected:
        client.track("ada", one["sdr_a"], {"category": "Load"}, context={"groupId": account})
    client.flush()
    client.join()
    assert not errors
    eventually(lambda: len(held(totango, account)) >= len(expected), "all delivered")
    assert by_name(held(totango, account)) == by_name(expected)
