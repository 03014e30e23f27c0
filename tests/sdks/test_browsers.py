"""Older SDKs of browsers in Chromium: analytics.js 1.x, and @segment/analytics-next 1.83.0 from npm."""

from pathlib import Path

from tests.receiving import Receiving
from tests.running import eventually
from tests.sdks.gate import Gate
from tests.sdks.pages import open_page
from tests.sdks.session import FAULTS, ON_SERVERS, check_held_in_any_order, check_recovery, wire

PATHS = {f"/v1/{letter}" for letter in "igpta"}


def all_sent(gate: Gate) -> None:
    """An alias never reaches Totango: a page that is closed once Totango has the rest may take it along."""
    eventually(lambda: {wire(one).path for one in list(gate.posts)} >= PATHS, "a call of each kind was sent")


def test_analytics_js_1_reaches_totango(tls_gate: Gate, totango: Receiving, account: str, tmp_path: Path) -> None:
    with open_page("classic", tmp_path, tls_gate, account):
        check_held_in_any_order(totango, account, ON_SERVERS)
        all_sent(tls_gate)
    seen = {wire(one) for one in tls_gate.posts}
    assert {(one.basic, one.key_in_body, one.content_type) for one in seen} == {(False, True, "text/plain")}
    assert {one.path for one in seen} == PATHS


def test_analytics_next_1_83_reaches_totango(gate: Gate, totango: Receiving, account: str, tmp_path: Path) -> None:
    with open_page("next", tmp_path, gate, account):
        check_held_in_any_order(totango, account, ON_SERVERS)
        all_sent(gate)
    seen = {wire(one) for one in gate.posts}
    assert {(one.basic, one.key_in_body, one.content_type) for one in seen} == {(False, True, "text/plain")}
    assert {one.path for one in seen} == PATHS


def test_analytics_js_1_comes_again_after_a_503_a_429_and_a_lost_answer(
    tls_gate: Gate, totango: Receiving, account: str, tmp_path: Path
) -> None:
    tls_gate.instead.extend(FAULTS)
    with open_page("classic", tmp_path, tls_gate, account):
        check_recovery(tls_gate)
        check_held_in_any_order(totango, account, ON_SERVERS)


def test_analytics_next_1_83_comes_again_after_a_503_a_429_and_a_lost_answer(
    gate: Gate, totango: Receiving, account: str, tmp_path: Path
) -> None:
    gate.instead.extend(FAULTS)
    with open_page("next", tmp_path, gate, account):
        check_recovery(gate, reads_retry_after=[429])
        check_held_in_any_order(totango, account, ON_SERVERS)
