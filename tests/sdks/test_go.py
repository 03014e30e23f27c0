"""analytics-go 3.1.0 (it calls itself 3.0.0), compiled here."""

from tests.receiving import Receiving
from tests.sdks import fetch
from tests.sdks.gate import Gate
from tests.sdks.programs import here, run
from tests.sdks.session import EVENTS, FAULTS, KEY, ON_SERVERS, Wire, check_held, check_recovery, ids, wire


def say(gate: Gate, account: str) -> None:
    run(here(fetch.go) / "session", gate.url, KEY, account, str(EVENTS))


def test_go_reaches_totango(gate: Gate, totango: Receiving, account: str) -> None:
    say(gate, account)
    check_held(totango, account, ON_SERVERS)
    (batch,) = gate.posts
    assert wire(batch) == Wire(
        path="/v1/batch",
        basic=True,
        content_type="application/json",
        user_agent="analytics-go (version: 3.0.0)",
    )
    assert batch.json["messageId"] not in ids(batch)
    assert batch.json["context"]["library"]["name"] == "analytics-go"


def test_go_comes_again_after_a_503_a_429_and_a_lost_answer(gate: Gate, totango: Receiving, account: str) -> None:
    gate.instead.extend(FAULTS)
    say(gate, account)
    check_recovery(gate)
    check_held(totango, account, ON_SERVERS)
