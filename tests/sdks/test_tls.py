"""Phones against Milonga's own TLS, with nothing between."""

from pathlib import Path

from tests.receiving import Receiving
from tests.running import Milonga
from tests.sdks.conftest import add_source
from tests.sdks.programs import kotlin_session, node_session, run, running
from tests.sdks.session import ON_PHONES, ON_SERVERS, check_held, check_held_in_any_order
from tests.sdks.tls import Certificate


def test_phones_and_servers_reach_totango_over_milongas_own_tls(
    tmp_path: Path, totango: Receiving, cert: Certificate, trust: Path, react_native: Path
) -> None:
    chain = str(cert.chain)
    with Milonga(tmp_path / "data", "--tls-cert", chain, "--tls-key", str(cert.key)) as milonga:
        add_source(milonga, totango)
        milonga.start()
        assert milonga.url.startswith("https://")
        with (
            running(*kotlin_session("1.27.0", milonga, "kotlin-tls", trust)),
            running(*node_session(react_native, milonga, "react-native-tls"), NODE_EXTRA_CA_CERTS=chain),
        ):
            run(*node_session("node_3.mjs", milonga, "node-tls"), NODE_EXTRA_CA_CERTS=chain)
            check_held_in_any_order(totango, "kotlin-tls", ON_PHONES)
            check_held(totango, "react-native-tls", ON_PHONES)
            check_held(totango, "node-tls", ON_SERVERS)
