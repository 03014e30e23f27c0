"""analytics-java 3.5.4, on a Java of its own."""

from tests.receiving import Receiving
from tests.sdks.gate import Gate
from tests.sdks.programs import java_session, run
from tests.sdks.session import ON_SERVERS, Wire, check_held, events_of, wire


def test_java_reaches_totango(gate: Gate, totango: Receiving, account: str) -> None:
    run(*java_session(gate, account))
    check_held(totango, account, ON_SERVERS)
    assert wire(gate.posts[0]) == Wire(
        path="/v1/import/",
        key_in_body=True,
        content_type="application/json; charset=UTF-8",
        user_agent="analytics-java/3.5.4",
    )
    assert all("library" not in event.get("context", {}) for event in events_of(gate))
    assert gate.posts[0].json["context"]["library"]["name"] == "analytics-java"
