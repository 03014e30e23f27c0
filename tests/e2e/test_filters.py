"""Filters and consent in a running server."""

from itertools import count
from typing import Any

from tests.commands import asked
from tests.commands import milonga as command
from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track


def send(milonga: Milonga, *events: dict[str, Any]) -> None:
    with Client(milonga.port, KEY) as client:
        client.send(list(events))


def explain(milonga: Milonga, message_id: str) -> dict[str, Any]:
    ((at,),) = ((one["destinations"]) for one in asked("explain", message_id, "--data", str(milonga.data)))
    assert isinstance(at, dict)
    return at


def test_what_is_filtered_is_not_sent_and_says_why_and_what_is_masked_is_sent_masked(
    milonga: Milonga, totango: Receiving
) -> None:
    filters, at = ("destinations", "filters", "totango"), ("--data", str(milonga.data))

    def say(*words: str) -> None:
        done = command(*words, *at)
        assert done.returncode == 0, done.stderr

    send(milonga, track(999, "probe", "acme"))
    eventually(lambda: explain(milonga, "m-999")["state"] == "delivered", "delivery is at work without any of it")
    say(*filters, "add", "no-tests", "--when", 'event.startsWith("Test")', "--drop")
    say(*filters, "add", "large", "--when", "!has(properties.n) || properties.n > 3", "--keep")
    say(*filters, "add", "mail", "--mask", "traits.email")
    say("destinations", "set", "totango", "consentCategories=analytics")
    numbers = count(1_000)

    def in_force() -> bool:
        number = next(numbers)
        send(milonga, track(number, "probe", "acme", context={"groupId": "a", "consent": {"categoryPreferences": {}}}))
        eventually(lambda: explain(milonga, f"m-{number}")["state"] != "waiting", "the probe's end")
        return bool(explain(milonga, f"m-{number}")["code"] == "FILTERED_BY_END_USER_CONSENT")

    eventually(in_force, "the settings")
    totango.clear()
    identify = {"type": "identify", "userId": "ada", "context": {"groupId": "acme"}}
    send(
        milonga,
        track(1, "ada", "acme", event="Test Order"),
        track(2, "ada", "acme", properties={"n": "many"}),
        track(3, "ada", "acme", integrations={"All": False}),
        {**identify, "messageId": "m-4", "traits": {"email": "ada@acme.example", "role": "boss"}},
        track(5, "ada", "acme", properties={"n": 4}),
    )
    eventually(lambda: explain(milonga, "m-5")["state"] == "delivered", "the last one")
    codes = {n: explain(milonga, f"m-{n}")["code"] for n in range(1, 6)}
    assert codes == {1: "filter:no-tests", 2: "filter_failed:large", 3: "FILTERED_BY_INTEGRATIONS_OBJECT", 4: "", 5: ""}
    sent = [seen.params for seen in totango.accepted()]
    assert [one.get("sdr_a") for one in sent] == [None, "e-5"]
    assert "***" in sent[0].values()
    assert "boss" in sent[0].values()
    assert not any("ada@acme.example" in value for one in sent for value in one.values())

    say(*filters, "remove", "no-tests")
    told = explain(milonga, "m-1")
    assert told["why"] == "The filter no-tests keeps such events back."
    assert "milonga destinations filters totango remove no-tests" in told["fix"]
    assert told["requests"] == []
    (tried,) = asked(*filters, "test", "--message", "m-1", *at)
    assert (tried["skip"], [one["name"] for one in tried["filters"]]) == (None, ["large", "mail"])
