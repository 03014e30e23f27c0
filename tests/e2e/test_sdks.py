"""Segment's own SDKs, unmodified but for the host, through a running Milonga into the pretend Totango."""

import math
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import segment.analytics as segment

from tests.e2e.conftest import KEY
from tests.receiving import Receiving, duplicates, first_deliveries, overlaps
from tests.running import Milonga, eventually

NODE = Path(__file__).parent.parent / "node"
EVENTS = 1_000

EXPECTED_START = [
    {"sdr_u.name": "Ada", "sdr_u.age": "36", "sdr_u.when": "1970-01-01T00:00:00.000Z"},
    {"sdr_o.account_name": "Acme", "sdr_o.Status": "Paying", "sdr_o.Create Date": "1970-01-01T00:00:00.000Z"},
    {"sdr_a": "Viewed Docs Page", "sdr_m": "Docs"},
    {"sdr_a": "Viewed Docs Index Page", "sdr_m": "Docs"},
]
"""Of Ada, in this order; beside service, account and user."""


def check(totango: Receiving) -> None:
    """What both sessions must have become."""
    eventually(lambda: totango.received() >= EVENTS + 4, "all delivered")
    accepted = totango.accepted()
    assert len(accepted) == EVENTS + 4
    assert duplicates(accepted) == 0
    assert not overlaps(totango.requests())
    ids = {"sdr_s": "SP-12345-01", "sdr_o": "acme", "sdr_u": "ada"}
    ada = [seen.params for seen in accepted if seen.params["sdr_u"] == "ada"]
    assert ada == [{**ids, **expected} for expected in EXPECTED_START]
    found = first_deliveries(seen for seen in accepted if seen.params["sdr_u"] != "ada")
    assert found == {("acme", f"user-{user}"): [f"e-{n}" for n in range(EVENTS) if n % 7 == user] for user in range(7)}


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_the_python_sdk_reaches_totango(milonga: Milonga, totango: Receiving, gzip: bool) -> None:
    errors: list[Any] = []
    client = segment.Client(KEY, host=milonga.url, gzip=gzip, on_error=lambda error, _: errors.append(error))
    context = {"groupId": "acme"}
    epoch = datetime.fromtimestamp(0, UTC)
    client.identify("ada", {"name": "Ada", "age": 36, "nothing": None, "when": epoch}, context=context)
    client.group("ada", "acme", {"name": "Acme", "plan": "Paying", "createdAt": epoch})
    client.page("ada", "Docs", "Index", context=context)
    for number in range(EVENTS):
        hostile = {"category": "Load", "nan": math.nan, "infinite": math.inf, "text": "\0 \U0001f600 \ud800"}
        client.track(f"user-{number % 7}", f"e-{number}", hostile, context=context)
    client.flush()
    client.join()
    assert not errors
    check(totango)


def test_the_node_sdk_reaches_totango(milonga: Milonga, totango: Receiving) -> None:
    done = subprocess.run(
        ["node", str(NODE / "session.mjs"), milonga.url, KEY, str(EVENTS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    check(totango)
