"""The core of @segment/analytics-react-native 2.24.1, on Node, with a stand-in for React Native itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.receiving import Receiving
from tests.sdks.gate import Gate
from tests.sdks.programs import bundle, node_session, running
from tests.sdks.session import FAULTS, KEY, ON_PHONES, Wire, check_held, check_recovery, wire
from tests.sdks.tls import Certificate

STAND_IN = "./react-native/stand-in.js"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One script."""
    script = tmp_path_factory.mktemp("react-native") / "session.mjs"
    bundle(
        "react-native/session.js",
        script,
        *("--platform=node", "--format=esm", f"--alias:react-native={STAND_IN}", f"--alias:react={STAND_IN}"),
        *("--external:react-native-get-random-values", "--external:@react-native-async-storage/async-storage"),
    )
    return script


@contextmanager
def saying(session: Path, gate: Gate, account: str, cert: Certificate, *, complains: bool = False) -> Iterator[None]:
    command = node_session(session, gate, account)
    with running(*command, NODE_EXTRA_CA_CERTS=str(cert.chain), complains=complains):
        yield


def test_react_native_reaches_totango(
    session: Path, tls_gate: Gate, totango: Receiving, account: str, cert: Certificate
) -> None:
    with saying(session, tls_gate, account, cert):
        check_held(totango, account, ON_PHONES)
    assert wire(tls_gate.posts[0]) == Wire(
        path="/v1/b", key_in_body=True, content_type="application/json; charset=utf-8", user_agent="node"
    )
    settings = [(one.path, one.status) for one in tls_gate.sent if one.method == "GET"]
    assert settings == [(f"/v1/projects/{KEY}/settings", 200)]


def test_react_native_comes_again_after_a_503_a_429_and_a_lost_answer(
    session: Path, tls_gate: Gate, totango: Receiving, account: str, cert: Certificate
) -> None:
    tls_gate.instead.extend(FAULTS)
    with saying(session, tls_gate, account, cert, complains=True):
        check_recovery(tls_gate, reads_retry_after=[503, 429], counts=True)
        check_held(totango, account, ON_PHONES)
