"""What the commands tell about events: explain, events, dead."""

import re
from pathlib import Path
from typing import Any

from tests.e2e.conftest import KEY
from tests.receiving import Receiving
from tests.running import Client, Milonga, eventually, track

DOCS = Path(__file__).parent.parent.parent / "docs"


def send(milonga: Milonga, *events: dict[str, Any], key: str = KEY) -> None:
    with Client(milonga.port, key) as client:
        client.send(list(events))


def test_explain_tells_why_an_account_is_silent(milonga: Milonga) -> None:
    lost = track(1, "ada", "acme")
    del lost["context"]
    send(milonga, lost)
    eventually(lambda: milonga.explain("m-1")["state"] == "skipped", "skipped")
    said = milonga.say("explain", "--user", "ada")
    assert "missing_group_id" in said
    assert "context.groupId" in said


def test_explain_shows_the_request_without_its_secret(milonga: Milonga, totango: Receiving) -> None:
    milonga.say("destinations", "set", "totango", "sdrToken=swordfish")

    def sent_with_token() -> bool:
        send(milonga, {**track(1, "ada", "acme"), "messageId": None})
        return any(seen.params.get("api-token") == "swordfish" for seen in totango.requests())

    eventually(sent_with_token, "the token in force")
    send(milonga, track(2, "ada", "acme"))
    eventually(lambda: milonga.explain("m-2")["state"] == "delivered", "delivered")
    (request,) = milonga.explain("m-2")["requests"]
    assert request["method"] == "POST"
    assert request["body"]["sdr_a"] == "e-2"
    everything = milonga.say("explain", "m-2", "--json") + milonga.say("explain", "m-2") + milonga.log_text()
    assert "swordfish" not in everything


def test_explain_finds_all_events_of_an_id_over_all_sources(milonga: Milonga) -> None:
    milonga.say("sources", "add", "app", "--write-key", "k-app")
    send(milonga, track(1, "ada", "acme"))
    send(milonga, track(1, "bob", "acme"), key="k-app")
    stories = milonga.ask("explain", "m-1")
    assert sorted((story["source"], story["userId"]) for story in stories) == [("app", "bob"), ("web", "ada")]
    assert len(milonga.ask("explain", "--account", "acme")) == 2
    assert "No destination is connected" in milonga.say("explain", "--user", "bob")


def test_every_field_of_the_story_is_documented(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=500, times=1)
    send(milonga, track(1, "ada", "acme"))
    eventually(lambda: milonga.explain("m-1")["state"] == "delivered", "delivered")
    (story,) = milonga.ask("explain", "m-1")
    (at,) = story["destinations"]
    told = {*story, *at, *at["tries"][0], *at["requests"][0], *story["position"], *story["account"]}
    documented = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", (DOCS / "explain.md").read_text()))))
    assert told <= documented


def test_an_event_that_is_not_there_is_said_so_in_words(milonga: Milonga) -> None:
    done = milonga.run("explain", "nobody-sent-this")
    assert done.returncode == 1
    assert "nobody-sent-this" in done.stderr
    assert milonga.run("explain").returncode == 2


def test_events_lists_shows_and_tails_what_arrived(milonga: Milonga) -> None:
    send(milonga, *(track(n, "ada", "acme") for n in range(5)))
    listed = milonga.ask("events", "list", "--limit", "3")
    assert [row["messageId"] for row in listed] == ["m-4", "m-3", "m-2"]
    (shown,) = milonga.ask("events", "show", "m-0")
    assert shown["event"]["properties"]["category"] == "Load"
    assert shown["account"] == "acme"
    assert [line.split()[-1] for line in milonga.say("events", "tail").splitlines()] == [f"m-{n}" for n in range(5)]


def test_what_was_discarded_is_counted_with_its_code(milonga: Milonga) -> None:
    send(milonga, {"type": "track", "event": "no ids at all"}, {"type": "nonsense", "userId": "u"}, track(1, "u", "a"))
    told = milonga.ask("events", "discarded")
    assert {row["code"]: row["events"] for row in told["counts"]}["no_user_anon_id"] == 1
    assert sum(row["events"] for row in told["counts"]) == 2
    assert any("userId" in row["reason"] for row in told["newest"])


def test_a_discarded_dead_letter_is_gone(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=400)
    send(milonga, track(1, "ada", "acme"))
    eventually(lambda: len(milonga.ask("dead", "list")) == 1, "a dead letter")
    assert "e-1" in milonga.say("dead", "show", "m-1")
    milonga.say("dead", "discard", "m-1", "--yes")
    assert milonga.ask("dead", "list") == []
    assert milonga.explain("m-1")["state"] == "dead"
    assert milonga.run("dead", "resend", "m-1").returncode == 1


def test_without_a_server_a_resend_is_carried_out_when_one_starts(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=400)
    send(milonga, track(1, "ada", "acme"))
    eventually(lambda: len(milonga.ask("dead", "list")) == 1, "a dead letter")
    milonga.stop()
    totango.behave_well()
    done = milonga.run("dead", "resend", "--all")
    assert "when `milonga serve` runs" in done.stderr
    milonga.start()
    eventually(lambda: milonga.explain("m-1")["state"] == "delivered", "resent")
