"""The core of analytics-kotlin, on Java, over TLS: it knows nothing else.

Calls made within a few milliseconds of each other go through several of its threads, and may overtake one another.
"""

from pathlib import Path

import pytest

from tests.receiving import Receiving
from tests.sdks import fetch
from tests.sdks.gate import Gate
from tests.sdks.programs import kotlin_session, running
from tests.sdks.session import FAULTS, KEY, ON_PHONES, Wire, check_held_as_sent, check_recovery, wire


@pytest.mark.parametrize("version", fetch.KOTLIN)
def test_kotlin_reaches_totango(tls_gate: Gate, totango: Receiving, account: str, trust: Path, version: str) -> None:
    with running(*kotlin_session(version, tls_gate, account, trust)):
        check_held_as_sent(totango, account, ON_PHONES, tls_gate)
    assert wire(tls_gate.posts[0]) == Wire(
        path="/v1/b",
        key_in_body=True,
        content_type="text/plain",
        gzip=True,
        user_agent="analytics-kotlin/1.24.1" if version == "1.25.0" else f"analytics-kotlin/{version}",
    )
    settings = {(one.path, one.status) for one in tls_gate.sent if one.path.endswith("/settings")}
    assert settings == {(f"/v1/projects/{KEY}/settings", 200)}


@pytest.mark.parametrize("version", fetch.KOTLIN)
def test_kotlin_comes_again_after_a_503_a_429_and_a_lost_answer(
    tls_gate: Gate, totango: Receiving, account: str, trust: Path, version: str
) -> None:
    tls_gate.instead.extend(FAULTS)
    with running(*kotlin_session(version, tls_gate, account, trust), complains=True):
        check_recovery(tls_gate, reads_retry_after=[503, 429] if version == "1.27.0" else [429], counts=True)
        check_held_as_sent(totango, account, ON_PHONES, tls_gate)
