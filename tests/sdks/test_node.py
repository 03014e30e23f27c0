"""@segment/analytics-node 3.1.0 and the older analytics-node 6.2.0, on a Node of their own."""

from tests.receiving import Receiving
from tests.sdks.gate import Gate
from tests.sdks.programs import node_session, run
from tests.sdks.session import FAULTS, ON_SERVERS, Wire, check_held, check_held_in_any_order, check_recovery, wire


def test_node_3_reaches_totango(gate: Gate, totango: Receiving, account: str) -> None:
    run(*node_session("node_3.mjs", gate, account))
    check_held(totango, account, ON_SERVERS)
    (batch,) = gate.posts
    assert wire(batch) == Wire(
        path="/v1/batch",
        basic=True,
        key_in_body=True,
        content_type="application/json",
        user_agent="analytics-node-next/latest",
    )


def test_node_3_comes_again_after_a_503_a_429_and_a_lost_answer(gate: Gate, totango: Receiving, account: str) -> None:
    gate.instead.extend(FAULTS)
    run(*node_session("node_3.mjs", gate, account))
    check_recovery(gate, reads_retry_after=[429], counts=True)
    check_held(totango, account, ON_SERVERS)


def test_node_6_reaches_totango(gate: Gate, totango: Receiving, account: str) -> None:
    """It sends the first call at once and the others beside it."""
    run(*node_session("node_6.cjs", gate, account))
    check_held_in_any_order(totango, account, ON_SERVERS)
    assert wire(gate.posts[0]) == Wire(
        path="/v1/batch", basic=True, content_type="application/json", user_agent="analytics-node/6.2.0"
    )


def test_node_6_comes_again_after_a_503_a_429_and_a_lost_answer(gate: Gate, totango: Receiving, account: str) -> None:
    gate.instead.extend(FAULTS)
    run(*node_session("node_6.cjs", gate, account))
    check_recovery(gate)
    check_held_in_any_order(totango, account, ON_SERVERS)
