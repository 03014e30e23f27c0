"""The core of @segment/analytics-react-native 2.24.1, on Node, with a stand-in for React Native itself."""

from pathlib import Path

from tests.receiving import Receiving
from tests.sdks.gate import Gate
from tests.sdks.programs import node_session, running
from tests.sdks.session import FAULTS, KEY, ON_PHONES, Wire, check_held, check_recovery, wire
from tests.sdks.tls import Certificate


def test_react_native_reaches_totango(
    react_native: Path, tls_gate: Gate, totango: Receiving, account: str, cert: Certificate
) -> None:
    with running(*node_session(react_native, tls_gate, account), NODE_EXTRA_CA_CERTS=str(cert.chain)):
        check_held(totango, account, ON_PHONES)
    assert wire(tls_gate.posts[0]) == Wire(
        path="/v1/b", key_in_body=True, content_type="application/json; charset=utf-8", user_agent="node"
    )
    settings = [(one.path, one.status) for one in tls_gate.sent if one.method == "GET"]
    assert settings == [(f"/v1/projects/{KEY}/settings", 200)]


def test_react_native_comes_again_after_a_503_a_429_and_a_lost_answer(
    react_native: Path, tls_gate: Gate, totango: Receiving, account: str, cert: Certificate
) -> None:
    tls_gate.instead.extend(FAULTS)
    command = node_session(react_native, tls_gate, account)
    with running(*command, NODE_EXTRA_CA_CERTS=str(cert.chain), complains=True):
        check_recovery(tls_gate, reads_retry_after=[503, 429], counts=True)
        check_held(totango, account, ON_PHONES)
