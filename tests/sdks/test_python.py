"""segment-analytics-python 2.4.0, in this process."""

from typing import Any

import pytest
import segment.analytics as segment

from tests.receiving import Receiving
from tests.sdks.gate import Gate
from tests.sdks.session import EVENTS, FAULTS, KEY, ON_SERVERS, Wire, check_held, check_recovery, wire


def say(gate: Gate, account: str, **options: Any) -> None:
    """A session; return when all of it is taken."""
    errors: list[Any] = []
    client = segment.Client(KEY, host=gate.url, on_error=lambda error, _: errors.append(error), **options)
    context = {"groupId": account}
    client.identify("ada", {"name": "Ada"}, context=context)
    client.group("ada", account, {"name": "Acme", "plan": "Paying"})
    client.page("ada", "Docs", "Index", context=context)
    client.track("ada", "Report exported", {"category": "Reports"}, context=context)
    for number in range(EVENTS):
        client.track("ada", f"e-{number}", {"category": "Load"}, context=context)
    client.alias("ada", "ada@example.com", context=context)
    client.flush()
    client.join()
    assert not errors


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_python_reaches_totango(gate: Gate, totango: Receiving, account: str, gzip: bool) -> None:
    say(gate, account, gzip=gzip)
    check_held(totango, account, ON_SERVERS)
    assert wire(gate.posts[0]) == Wire(
        path="/v1/batch",
        basic=True,
        key_in_body=True,
        content_type="application/json",
        gzip=gzip,
        user_agent="analytics-python/2.4.0",
    )


def test_python_comes_again_after_a_503_a_429_and_a_lost_answer(gate: Gate, totango: Receiving, account: str) -> None:
    gate.instead.extend(FAULTS)
    say(gate, account)
    check_recovery(gate, reads_retry_after=[503, 429])
    check_held(totango, account, ON_SERVERS)
