"""A destination that was removed stays readable, and none that comes after it takes its story."""

from typing import Any

from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track


def send(milonga: Milonga, *events: dict[str, Any]) -> None:
    with Client(milonga.port, KEY) as client:
        client.send(list(events))


def add(milonga: Milonga, totango: Receiving) -> None:
    milonga.say(
        *("destinations", "add", "totango", "--source", "web", "--set", "serviceId=SP-12345-02"),
        *("--set", f"endpoint={totango.url}/pixel.gif/"),
    )


def at_each(milonga: Milonga, message_id: str) -> dict[int, dict[str, Any]]:
    (story,) = milonga.ask("explain", message_id)
    return {at["id"]: at for at in story["destinations"]}


def test_a_removed_destination_keeps_its_story_also_when_another_gets_its_name(
    milonga: Milonga, totango: Receiving
) -> None:
    milonga.say("destinations", "set", "totango", "sdrToken=swordfish")
    send(milonga, track(1, "ada", "acme"))
    eventually(lambda: milonga.explain("m-1")["state"] == "delivered", "delivered")
    totango.behave(status=400, match={"sdr_a": "e-2"})
    totango.behave(status=503, match={"sdr_a": "e-3"})
    send(milonga, track(2, "bob", "acme"), track(3, "cyd", "acme"))
    eventually(lambda: milonga.explain("m-2")["state"] == "dead", "dead")
    eventually(lambda: milonga.explain("m-3")["state"] == "retrying", "retrying")

    refused = milonga.run("destinations", "remove", "totango")
    assert refused.returncode == 1
    assert "1 dead letter" in refused.stderr
    assert "--yes" in refused.stderr
    assert milonga.ask("destinations", "remove", "totango", "--yes") == {
        "removed": "totango",
        "id": 1,
        "deadLetters": 1,
    }
    add(milonga, totango)
    eventually(lambda: milonga.ask("destinations", "show", "totango")["inForce"] is not None, "and so is the removal")
    totango.behave_well()
    send(milonga, track(4, "ada", "acme"))
    eventually(lambda: at_each(milonga, "m-4")[2]["state"] == "delivered", "delivered by the new one")

    told = {number: at_each(milonga, f"m-{number}") for number in (1, 2, 3, 4)}
    assert [at["state"] for at in told[1].values()] == ["never", "delivered"]
    assert told[1][1]["is"] == "removed"
    assert told[1][1]["removedAt"]
    assert told[2][1]["state"] == "dead"
    assert "went with the destination" in told[2][1]["fix"]
    assert (told[3][1]["state"], told[3][1]["code"]) == ("skipped", "destination_removed")
    assert "while this waited" in told[3][1]["why"]
    assert list(told[4]) == [2]
    assert milonga.ask("dead", "list") == []
    assert "totango, removed 2" in milonga.say("explain", "m-1")
    assert "sdr_a = e-1" in milonga.say("explain", "m-1")

    assert [one["id"] for one in milonga.ask("destinations", "list")] == [2]
    everyone = milonga.ask("destinations", "list", "--all")
    assert [(one["id"], one["state"]) for one in everyone] == [(2, "on"), (1, "removed")]
    assert milonga.ask("destinations", "show", "totango")["id"] == 2
    assert "destinations show 1" in milonga.run("destinations", "show", "totango").stderr
    old = milonga.ask("destinations", "show", "1")
    assert (old["state"], old["settings"]["serviceId"], old["settings"]["sdrToken"]) == (
        "removed",
        "SP-12345-01",
        "***",
    )
    assert old["history"][-1]["reason"] == "removed"

    (first, second) = milonga.ask("explain", "--account", "acme", "--summary")["destinations"]
    assert {one["state"]: one["events"] for one in first["outcomes"]} == {"never": 3, "delivered": 1}
    assert {(one["state"], one["code"]) for one in second["outcomes"]} == {
        ("delivered", ""),
        ("dead", "http_400"),
        ("skipped", "destination_removed"),
    }


def test_one_that_was_removed_is_shown_by_its_name_while_no_other_has_it(milonga: Milonga) -> None:
    milonga.say("destinations", "remove", "totango", "--yes")
    assert milonga.ask("destinations", "show", "totango")["state"] == "removed"
    assert "removed since" in milonga.say("destinations", "show", "totango")
    assert milonga.run("destinations", "enable", "totango").returncode == 1


def test_what_a_stopped_server_has_not_thrown_away_is_gone_all_the_same(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=400)
    send(milonga, track(1, "ada", "acme"))
    eventually(lambda: len(milonga.ask("dead", "list")) == 1, "a dead letter")
    milonga.stop()
    milonga.say("destinations", "remove", "totango", "--yes")
    assert milonga.ask("dead", "list") == []
    assert "went with the destination" in milonga.explain("m-1")["fix"]
    assert milonga.run("dead", "show", "m-1", "--json").stdout.strip() == "[]"
