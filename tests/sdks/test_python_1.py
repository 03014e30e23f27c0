"""analytics-python 1.4, the older major version, beside what it needs."""

import sys

from tests.receiving import Receiving
from tests.sdks import fetch
from tests.sdks.gate import Gate
from tests.sdks.programs import here, run
from tests.sdks.session import EVENTS, FAULTS, KEY, ON_SERVERS, Wire, check_held, check_recovery, wire


def say(gate: Gate, account: str) -> None:
    session = fetch.HERE / "python_1" / "session.py"
    run(sys.executable, session, gate.url, KEY, account, str(EVENTS), PYTHONPATH=str(here(fetch.python_1)))


def test_python_1_reaches_totango(gate: Gate, totango: Receiving, account: str) -> None:
    say(gate, account)
    check_held(totango, account, ON_SERVERS)
    assert wire(gate.posts[0]) == Wire(
        path="/v1/batch", basic=True, content_type="application/json", user_agent="analytics-python/1.4.post1"
    )


def test_python_1_comes_again_after_a_503_a_429_and_a_lost_answer(gate: Gate, totango: Receiving, account: str) -> None:
    gate.instead.extend(FAULTS)
    say(gate, account)
    check_recovery(gate)
    check_held(totango, account, ON_SERVERS)
