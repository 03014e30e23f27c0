"""What the commands tell about events: explain, events, dead."""

import html
import json
import re
from http.client import HTTPConnection
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


def test_the_pixel_that_sources_setup_prints_arrives_with_its_account(milonga: Milonga) -> None:
    printed = milonga.ask("sources", "setup", "web", "--host", milonga.url)
    (pixel,) = [one["text"] for one in printed if "pixel" in one["text"]]
    (address,) = re.findall(r'src="([^"]+)"', pixel)
    assert address.startswith(f"{milonga.url}/")
    connection = HTTPConnection("127.0.0.1", milonga.port, timeout=60)
    connection.request("GET", html.unescape(address).removeprefix(milonga.url))
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-type"]) == (200, "image/gif")
    connection.close()
    (event,) = milonga.ask("events", "list")
    assert (event["type"], event["name"], event["user"], event["account"]) == (
        "track",
        "Email opened",
        "USER",
        "ACCOUNT",
    )


def documented(page: str) -> set[str]:
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(), flags=re.DOTALL)
    return set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))


def fields(value: Any) -> set[str]:
    """Every name in it, but for what the sender and the destination made up."""
    if isinstance(value, list):
        return set().union(*map(fields, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(fields(v) for k, v in value.items() if k not in ("event", "body", "headers", "types")))


def test_every_field_of_the_story_is_documented(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=400)
    send(milonga, track(1, "ada", "acme"))
    eventually(lambda: milonga.explain("m-1")["state"] == "dead", "dead")
    totango.behave_well()
    totango.behave(status=503)
    milonga.say("dead", "resend", "m-1")
    send(milonga, track(2, "ada", "acme"))
    eventually(lambda: milonga.explain("m-1")["state"] == "retrying", "retrying")
    eventually(lambda: milonga.explain("m-2")["behind"] is not None, "behind")
    stories = milonga.ask("explain", "--account", "acme")
    at = milonga.explain("m-1")
    assert at["before"][0]["state"] == "dead"
    assert "earlier: dead http_400" in milonga.say("explain", "m-1")
    milonga.say("destinations", "remove", "totango", "--yes")
    stories += milonga.ask("explain", "--account", "acme")
    summary = milonga.ask("explain", "--account", "acme", "--summary")
    told = fields(stories) | fields(summary)
    assert {"behind", "nextTry", "overdue", "waitsFor", "removedAt", "tries", "before", "endedAt", "more"} <= told
    assert told <= documented("explain.md")


def test_every_field_of_a_destination_is_documented(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=503)
    send(milonga, track(1, "ada", "acme"))
    eventually(lambda: milonga.ask("destinations", "list")[0]["lastFailure"] is not None, "a failure")
    told = fields(milonga.ask("destinations", "list")) | set(milonga.ask("destinations", "show", "totango"))
    assert {"waiting", "lastFailure", "serverRunning", "settings"} <= told
    assert told <= documented("operate.md")


def test_an_event_that_is_not_there_is_said_so_in_words(milonga: Milonga) -> None:
    done = milonga.run("explain", "nobody-sent-this")
    assert done.returncode == 1
    assert "nobody-sent-this" in done.stderr
    for words in (("explain", "x"), ("events", "show", "x"), ("dead", "show", "x"), ("explain", "--user", "x")):
        nothing = milonga.run(*words, "--json")
        assert (nothing.returncode, nothing.stdout.strip()) == (1, "[]")
        assert nothing.stderr
    assert milonga.run("explain").returncode == 2
    for words in (("explain", "--account", ""), ("explain", "--user", " "), ("explain", ""), ("events", "show", "")):
        empty = milonga.run(*words)
        assert (empty.returncode, empty.stdout) == (2, "")
        assert "It is empty. Name an id." in empty.stderr
    for option in ("--account", "--user", "--message-id"):
        assert milonga.run("events", "list", option, "").returncode == 2


def test_an_event_that_was_discarded_is_explained_as_such(milonga: Milonga) -> None:
    send(milonga, {"type": "track", "event": "no ids", "messageId": 'm-"é"'}, {"type": "nonsense", "messageId": "m-2"})
    done = milonga.run("explain", 'm-"é"')
    assert done.returncode == 1
    assert re.search(r"discarded as it came, 2\S+Z from source web: no_user_anon_id\. .*userId", done.stderr), (
        done.stderr
    )
    assert "`milonga events discarded` shows it." in done.stderr
    other = milonga.run("explain", "m-")
    assert "Discarded as they came: 2 (" in other.stderr
    assert "It was discarded" not in other.stderr
    send(milonga, *({"type": "track", "event": f"no ids {n}"} for n in range(30)))
    hinted = milonga.run("explain", "m-2").stderr
    (limit,) = re.findall(r"events discarded --limit (\d+)`", hinted)
    shown = json.loads(milonga.run("events", "discarded", "--limit", limit, "--json").stdout)["newest"]
    assert "m-2" in shown[-2]["excerpt"], "beside the other of its millisecond"


def test_an_event_is_shown_with_the_address_that_stands_in_for_its_own(milonga: Milonga) -> None:
    direct = track(1, "ada", "acme")
    direct["context"]["direct"] = True
    send(milonga, direct, track(2, "ada", "acme"))
    (shown,) = milonga.ask("events", "show", "m-1")
    assert shown["sender"] == "127.0.0.1"
    assert "ip" not in shown["event"]["context"]
    assert set(shown) <= documented("explain.md")
    (silent,) = milonga.ask("events", "show", "m-2")
    assert silent["sender"] is None


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
    assert "--yes" in milonga.run("dead", "discard", "m-1").stderr
    assert milonga.explain("m-1")["fix"].startswith("Mend the cause, then `milonga dead resend m-1`")
    said = milonga.say("explain", "m-1")
    assert "would have sent: POST" in said
    assert "ms after it arrived, attempts: 1" in said
    assert milonga.ask("dead", "discard", "m-1", "--yes") == {"asked": 1, "discarded": 1}
    assert milonga.ask("dead", "list") == []
    assert milonga.explain("m-1")["state"] == "dead"
    assert "discarded since" in milonga.explain("m-1")["fix"]
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


def test_an_account_is_summed_up_before_its_newest_events(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=400, match={"sdr_a": "e-7"})
    send(
        milonga,
        *(track(n, "ada", "acme") for n in range(30)),
        {**track(99, "ada", "acme"), "type": "alias", "previousId": "x"},
    )
    eventually(lambda: milonga.explain("m-99")["state"] == "skipped", "skipped")
    eventually(lambda: milonga.explain("m-29")["state"] == "delivered", "delivered")
    told = milonga.ask("explain", "--account", "acme", "--summary")
    assert (told["account"], told["user"], told["events"], told["more"]) == ("acme", None, 31, False)
    assert told["types"] == {"track": 30, "alias": 1}
    assert told["firstAt"] <= told["lastAt"]
    (at,) = told["destinations"]
    assert sorted((one["state"], one["code"], one["events"]) for one in at["outcomes"]) == [
        ("dead", "http_400", 1),
        ("delivered", "", 29),
        ("skipped", "unsupported_type", 1),
    ]
    said = milonga.say("explain", "--account", "acme", "--limit", "2")
    assert said.startswith("account acme: 31 events kept, ")
    assert "30 track, 1 alias" in said
    assert "29 delivered, 1 skipped unsupported_type, 1 dead http_400" in said
    assert "The newest 2 of 31; --limit for more:" in said
    assert 'track "e-29"  m-29' in said
    assert len(milonga.ask("explain", "--user", "ada", "--limit", "3")) == 3


def test_an_account_of_which_nothing_came_is_told_where_to_look(milonga: Milonga) -> None:
    lost = track(1, "ada", "acme")
    del lost["context"]
    send(milonga, lost, track(2, "bob", "Acme"), {"type": "track", "event": "no ids"})
    eventually(lambda: milonga.explain("m-1")["state"] == "skipped", "skipped")
    done = milonga.run("explain", "--account", "acme")
    assert done.returncode == 1
    for words in (
        "The log keeps events since 2",
        "Written differently: 'Acme', 1 events",
        "Without account: 1 of 2 events kept. Skipped as missing_group_id so far: 1.",
        "milonga events list --no-account",
        "Discarded as they came: 1 (1 no_user_anon_id)",
        "milonga events discarded",
    ):
        assert words in done.stderr, done.stderr
    assert [row["messageId"] for row in milonga.ask("events", "list", "--no-account")] == ["m-1"]


def test_events_are_found_by_what_they_are(milonga: Milonga) -> None:
    milonga.say("sources", "add", "app", "--write-key", "k-app")
    send(milonga, *(track(n, f"u{n % 2}", f"a{n % 3}") for n in range(12)))
    send(milonga, {**track(50, "u0", "a0"), "type": "page", "name": "Blog"}, key="k-app")

    def found(*words: str) -> list[str]:
        return [row["messageId"] for row in json.loads(milonga.run("events", "list", *words, "--json").stdout)]

    assert found("--type", "page") == ["m-50"]
    assert found("--name", "e-3") == ["m-3"]
    assert found("--name", "Blog") == ["m-50"]
    assert found("--user", "u0", "--account", "a0") == ["m-50", "m-6", "m-0"]
    assert found("--source", "app") == ["m-50"]
    assert found("--message-id", "m-4") == ["m-4"]
    assert found("--no-account") == []
    tailed = milonga.say("events", "tail", "--account", "a1", "--limit", "2").splitlines()
    assert [line.split()[-1] for line in tailed] == ["m-7", "m-10"]
    done = milonga.run("events", "list", "--name", "e-0", "--scan", "5", "--json")
    assert (done.returncode, done.stdout.strip()) == (0, "[]")
    assert "Only the newest 5 events were looked through, back to 2" in done.stderr
    assert milonga.run("events", "list", "--name", "e-0", "--scan", "50").stderr == ""
    assert milonga.run("events", "list", "--type", "nonsense").returncode == 2
    assert milonga.run("events", "list", "--account", "a", "--no-account").returncode == 2
    assert "milonga sources list" in milonga.run("events", "list", "--source", "nowhere").stderr


def test_duplicates_and_discards_are_counted_for_each_source(milonga: Milonga) -> None:
    send(milonga, track(1, "ada", "acme"), {"type": "track", "event": "no\nids"})
    send(milonga, track(1, "ada", "acme"), track(2, "ada", "acme"))

    def counted() -> bool:
        rows = milonga.ask("events", "counts")
        return [(row["accepted"], row["duplicates"], row["discarded"]) for row in rows] == [(2, 1, 1)]

    eventually(counted, "counted")
    (row,) = milonga.ask("events", "counts", "--hours", "1")
    assert (row["source"], row["discardedByCode"]) == ("web", {"no_user_anon_id": 1})
    assert "1 no_user_anon_id" in milonga.say("events", "counts")
    (line,) = [line for line in milonga.say("events", "discarded").splitlines() if "$.batch" in line]
    assert r'"event": "no\nids"' in line


HOSTILE = "a\x1b[31mred\x1b]0;title\x07\nb\x9b\u2028c\u202ed"


def test_nothing_an_event_says_reaches_a_terminal_raw(milonga: Milonga, totango: Receiving) -> None:
    totango.behave(status=400)
    event = {
        **track(1, HOSTILE, HOSTILE),
        "messageId": HOSTILE,
        "event": HOSTILE,
        "properties": {HOSTILE: HOSTILE},
    }
    send(milonga, event)
    eventually(lambda: len(milonga.ask("dead", "list")) == 1, "dead")
    milonga.say("destinations", "add", "webhook", "--source", "web", "--set", "url=http://127.0.0.1:9/")
    send(milonga, {**event, "messageId": "m-2"}, {**event, "userId": "", "anonymousId": "", "messageId": "m-3"})
    for words in (
        *(("events", "list"), ("events", "tail"), ("events", "discarded"), ("dead", "list"), ("explain", "m-2")),
        *(("explain", "--account", HOSTILE), ("explain", "--user", HOSTILE), ("explain", HOSTILE)),
        *(
            ("events", "list", "--json"),
            ("events", "tail", "--json"),
            ("events", "show", "m-2"),
            ("dead", "show", HOSTILE),
        ),
        *(("explain", "m-2", "--json"), ("explain", "--account", HOSTILE, "--summary")),
    ):
        said = milonga.run(*words).stdout
        assert said
        raw = {sign for sign in said if not sign.isprintable()} - {"\n"}
        assert raw == set(), (words, raw)
        assert "red" in said
        if "--json" in words[-1:]:
            assert [json.loads(line) for line in said.splitlines()] if "tail" in words else json.loads(said)
    for words in (("explain", f"x{HOSTILE}"), ("dead", "show", f"x{HOSTILE}"), ("explain", "--user", f"x{HOSTILE}")):
        said = milonga.run(*words).stderr
        assert {sign for sign in said if not sign.isprintable()} <= {"\n"}, said


def test_a_webhook_s_body_is_shown_as_json(milonga: Milonga) -> None:
    milonga.say("destinations", "add", "webhook", "--source", "web", "--set", "url=http://127.0.0.1:9/")
    send(milonga, track(1, "ada", "acme"))
    said = milonga.say("explain", "m-1")
    lines = [line for line in said.split("[event]\n")[1].splitlines() if line.startswith(" " * 7)]
    assert json.loads("\n".join(lines))["properties"]["category"] == "Load"
