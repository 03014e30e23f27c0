"""Users are suppressed and deleted in a running server: no file has anything of them left, and nobody else notices."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track

ADA = "ada.lovelace@example.com"
TRAITS = {"email": ADA, "street": "St James's Square 12"}
TRACES = (ADA.encode(), b"St James", b"ada-message", b"Secret Word")


def send(milonga: Milonga, *events: dict[str, Any]) -> None:
    with Client(milonga.port, KEY) as client:
        client.send(list(events))


def of_ada(number: int, account: str, **more: Any) -> dict[str, Any]:
    return track(
        number, ADA, account, **{"messageId": f"ada-message-{number}", "event": f"Secret Word {number}", **more}
    )


def traces(data: Path) -> list[str]:
    """Files in which something of Ada can be found."""
    files = [path for path in data.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(data)) for path in files if any(one in path.read_bytes() for one in TRACES))


def test_a_deleted_user_is_gone_from_everywhere_and_nobody_else_is_touched(
    milonga: Milonga, totango: Receiving
) -> None:
    data = milonga.data
    totango.behave(status=503, match={"sdr_o": "parked"})
    totango.behave(status=400, match={"sdr_o": "dead"})
    send(
        milonga,
        {"type": "identify", "userId": ADA, "traits": TRAITS, "messageId": "ada-message-1"},
        {"type": "group", "userId": ADA, "groupId": "acme", "traits": {"name": "Acme"}, "messageId": "ada-message-2"},
        {"type": "alias", "userId": "countess", "previousId": ADA, "messageId": "ada-message-3"},
        {"type": "group", "userId": "bob", "groupId": "acme", "traits": {"name": "Acme"}, "messageId": "bob-group"},
        of_ada(4, "acme"),
        of_ada(5, "dead"),
        track(6, "bob", "dead"),
        {"type": "track", "userId": ADA, "properties": TRAITS, "messageId": "ada-message-7"},  # no event: discarded
        *(of_ada(100 + n, "parked") for n in range(130)),
        track(8, "bob", "parked"),
        track(9, "bob", "acme"),
    )
    eventually(lambda: len(milonga.ask("dead", "list")) == 2, "two dead letters")
    eventually(lambda: "parked" in milonga.explain("ada-message-229")["waitsFor"], "parked")
    eventually(lambda: milonga.explain("m-9")["state"] == "delivered", "bob's, and ada's before it")
    assert {name.split("/")[0] for name in traces(data)} >= {"log", "delivery.db", "delivery.db-wal"} - {"delivery.db"}

    done = json.loads(milonga.say("regulations", "delete", ADA, "--suppress", "--yes", "--wait", "60", "--json"))[0]
    assert done["status"] == "FINISHED", done
    assert done["kind"] == "SUPPRESS_WITH_DELETE_INTERNAL"
    assert done["erased"]["events"] == 135
    assert done["erased"]["deadLetters"] == 1
    assert done["erased"]["samples"] == 1
    assert traces(data) == []

    (story,) = milonga.ask("explain", "ada-message-150")
    assert story["erased"]["regulation"] == done["id"]
    assert (story["userId"], story["event"]) == (None, {})
    (at,) = story["destinations"]
    assert (at["state"], at["code"]) == ("skipped", "user_deleted")
    assert f"by regulation {done['id']}" in milonga.say("explain", "ada-message-150")
    (letter,) = milonga.ask("dead", "list")
    assert letter["user"] == "bob"
    assert milonga.explain("m-9")["state"] == "delivered"
    sent = len([seen for seen in totango.requests() if seen.params.get("sdr_u") == ADA])

    totango.behave_well()
    milonga.say("destinations", "pause", "totango")
    milonga.say("destinations", "resume", "totango")  # nothing waits for its next try any more
    eventually(lambda: milonga.explain("m-8")["state"] == "delivered", "what waited of others goes out")
    send(milonga, of_ada(300, "acme"), track(301, "bob", "acme"), {"type": "track", "userId": ADA, "event": 5})
    eventually(lambda: milonga.explain("m-301")["state"] == "delivered", "bob goes on")
    assert len([seen for seen in totango.requests() if seen.params.get("sdr_u") == ADA]) == sent
    counted = milonga.say("events", "counts")
    assert "user_suppressed" in counted
    assert "ada" not in milonga.run("explain", "ada-message-300").stdout
    assert milonga.ask("check")["problems"] == []
    milonga.stop()
    assert traces(data) == []

    milonga.start()
    send(milonga, of_ada(400, "acme"))
    assert traces(data) == []
    milonga.say("regulations", "unsuppress", ADA, "--wait", "60")
    send(milonga, of_ada(401, "acme"))
    eventually(lambda: milonga.explain("ada-message-401")["state"] == "delivered", "welcome again")
