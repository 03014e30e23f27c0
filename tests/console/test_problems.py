"""Problems: what was not delivered is found by its reason, and put right from the pages."""

import csv
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser

from milonga.destinations.totango.fake import pretend
from milonga.facts.explain import by_message_id
from milonga.facts.facts import open_facts
from milonga.outcomes.reader import OutcomeReader
from milonga.workspace.model import DestinationState
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.harness import Answer, Console, console_of
from tests.console.reading import words
from tests.receiving import Receiving
from tests.running import Client, eventually, track

KEY = "k-problems"
REFUSED = '<b onclick="alert(1)">refused</b>'  #: name of the events that the receiver refuses
WAITING = 110  #: events behind one key that is parked
EXCLUDED = (501, 502)  #: events that are skipped for what their sender said
OF_EXCLUDED = "/problems/skips?destination=totango&code=FILTERED_BY_INTEGRATIONS_OBJECT"
VIEWER, EDITOR = Role.viewer, Role.editor


@pytest.fixture(scope="module")
def totango() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        receiving.behave(status=400, match={"sdr_a": REFUSED})
        yield receiving


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, totango: Receiving) -> Iterator[Console]:
    """
    Four dead letters, three events without an account, of which a group call could have named one, and two that their
    sender excluded at `totango`; a line of WAITING events that is parked at `paused`; `quiet`, to which nothing went.
    """
    with console_of(tmp_path_factory.mktemp("problems")) as running:
        on, paused = DestinationState.on, DestinationState.paused
        settings = {"serviceId": "SP-1-01", "endpoint": f"{totango.url}/pixel.gif/"}
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", KEY)
            workspace.sources.add("other")
            workspace.add_destination("totango", "web", "totango", settings, on, {0: 0})
            workspace.add_destination("totango", "web", "paused", settings, on, {0: 0})
            workspace.change_state("paused", paused, "cli", "until Monday", {0: 0})
            workspace.add_destination("totango", "other", "quiet", settings, on, {0: 0})
        with Client(running.milonga.port, KEY) as client:
            client.send([track(n, f"u-{n}", f"a-{n}") | {"event": REFUSED} for n in range(1, 5)])
            client.send([{"type": "track", "userId": "u", "event": "Job", "messageId": f"m-job-{n}"} for n in (1, 2)])
            client.send([{"type": "group", "userId": "grace", "groupId": "hopper", "messageId": "m-group"}])
            client.send([{"type": "track", "userId": "grace", "event": "Job", "messageId": "m-job-3"}])
            client.send([track(n, f"u-{n}", "acme", integrations={"All": False}) for n in EXCLUDED])
            waiting = [track(n, "ada", "acme") for n in range(100, 100 + WAITING)]
            client.send(waiting, context={"app": {"name": "of the batch"}})
        reader = OutcomeReader(running.data / "outcomes")
        eventually(lambda: sum(reader.totals().values()) >= 15 + WAITING, "all have come to their end at totango")
        eventually(lambda: "1 parked key" in text(running.get("/problems/parked")), "its line is parked")
        yield running


def text(answer: Answer) -> str:
    """What a page says, without its marks."""
    assert answer.status in (200, 404), answer.text
    return words(answer.text)


def said(console: Console, path: str, **form: Any) -> str:
    """What the page that comes next says of a change."""
    answer = console.post(path, form, EDITOR)
    assert answer.status == 303, answer.text
    cookie = re.search(r"milonga_said=([^;]*)", answer.headers["set-cookie"])
    assert cookie is not None
    with_words = console.ask("GET", answer.headers["location"], EDITOR, headers={})
    assert with_words.status == 200
    return unquote(cookie[1])


def told(console: Console, message_id: str) -> Any:
    """The story of an event at totango."""
    with open_facts(console.data) as facts:
        (stored,) = by_message_id(facts, message_id)
        story: Any = facts.tell(stored)
    return next(at for at in story["destinations"] if at["destination"] == "totango")


def letters(console: Console) -> list[str]:
    """Ids of dead letters, newest first."""
    return re.findall(r"/problems/dead/letter/([0-9-]+)", console.get("/problems/dead").text)


def exported(console: Console, what: str) -> list[tuple[str, int]]:
    """Of which destination, how many files."""
    with Workspace.open(console.data) as workspace:
        rows = workspace.audit.page(what=what)
    assert {row.by for row in rows} <= {"user:the-viewer"}
    return [(row.name, row.changes["files"][1]) for row in rows]


# Looking


def test_reasons_are_told_with_how_many_and_what_to_do(console: Console) -> None:
    page = text(console.get("/problems"))
    assert "missing_group_id" in page
    assert "http_400" in page
    assert "paused is paused: until Monday" in page
    assert "1 key of paused is parked" in page
    assert "Totango takes what belongs to an account" in page or "groupId" in page
    of_totango = text(console.get("/problems?destination=totango&span=30d"))
    assert "http_400" in of_totango
    assert "until Monday" not in of_totango


def test_each_reason_shows_one_of_the_newest_events_that_it_met(console: Console) -> None:
    page = console.get("/problems?destination=totango")
    assert "Such as track Job of user grace, " in text(page)
    assert f"Such as track {REFUSED} of user u-" in unescape(text(page))
    assert "&#34;messageId&#34;: &#34;m-job-3&#34;" in page.text, "and what it says"
    assert REFUSED not in page.text


def test_where_nothing_is_wrong_nothing_needs_anybody(console: Console) -> None:
    for path in ("/problems", "/problems/dead", "/problems/parked", "/problems/skips"):
        page = text(console.get(f"{path}?destination=quiet"))
        assert "Nothing needs you" in page or "Nothing was skipped" in page, path


def test_a_reason_has_its_newest_examples_and_a_chart(console: Console) -> None:
    page_of_reason = "/problems/skips?destination=totango&code=missing_group_id"
    page = console.get(page_of_reason)
    assert page.text.count('href="/events/0-') == 3
    assert "m-job-1" in text(page)
    eventually(
        lambda: "1 of 3 could have had an account" in text(console.get(page_of_reason)), "the index has looked at them"
    )
    chart = console.get("/problems/trend?destination=totango&code=missing_group_id").json
    assert sum(chart["series"][0]["values"]) == 3
    assert len(chart["times"]) == len(chart["series"][0]["values"])
    assert "None in this time" in console.get("/problems/skips?destination=quiet&code=missing_group_id").text
    assert console.get("/problems/skips?destination=nobody&code=x").status == 404


def test_skipped_events_are_found_by_what_they_are_about(console: Console) -> None:
    assert "m-501" in text(console.get(OF_EXCLUDED))
    one = text(console.get(f"{OF_EXCLUDED}&user=u-502&from=1h&type=track&account=acme&event=e-502"))
    assert "m-502" in one
    assert "m-501" not in one
    for nothing in ("account=nobody", "type=group", "to=1h", "from=2099-01-01", "event=e-1"):
        assert "No event fits" in text(console.get(f"{OF_EXCLUDED}&{nothing}"))
    wrong = console.get(f"{OF_EXCLUDED}&from=soon")
    assert wrong.status == 422
    assert "is no moment" in wrong.text
    assert 'value="soon"' in wrong.text, "what was typed is still there"


def test_skipped_events_are_exported(console: Console) -> None:
    lines = console.get(f"{OF_EXCLUDED.replace('skips?', 'skips/export?')}&format=jsonl").text.splitlines()
    assert {json.loads(line)["messageId"] for line in lines} == {"m-501", "m-502"}
    assert json.loads(lines[0])["event"]["integrations"] == {"All": False}
    answer = console.get(f"{OF_EXCLUDED.replace('skips?', 'skips/export?')}&format=csv&user=u-501")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["user"], row["state"], row["now"]) == ("u-501", "skipped", "skipped")
    assert "skipped.csv" in answer.headers["content-disposition"]
    assert console.get("/problems/skips/export?destination=nobody&code=x").status == 404
    assert console.get("/problems/skips/export?destination=totango").status == 404


def test_where_nothing_is_mended_the_dry_run_says_so(console: Console) -> None:
    form = {"destination": "totango", "code": "missing_group_id", "scope": "all"}
    run = console.post("/problems/skips/resend", form, EDITOR).headers["location"]
    eventually(lambda: "Would be sent" in text(console.get(run)), "the dry run is done")
    page = text(console.get(run, EDITOR))
    assert "3 events would be skipped again, as missing_group_id" in page
    assert "Start the replay" not in page
    assert said(console, "/problems/skips/resend", **{**form, "scope": "chosen"}) == "No event was chosen."
    assert console.post("/problems/skips/resend", {"destination": "totango"}, EDITOR).status == 404


def test_dead_letters_are_found_by_what_they_are_about(console: Console) -> None:
    every = letters(console)
    assert len(every) >= 2
    one = console.get("/problems/dead?destination=totango&account=a-4")
    assert len(re.findall(r"/problems/dead/letter/", one.text)) == 1
    assert "No dead letter fits" in text(console.get("/problems/dead?user=nobody"))
    assert "No dead letter fits" in text(console.get("/problems/dead?code=http_500"))
    assert REFUSED in unescape(one.text)
    assert REFUSED not in one.text


def test_dead_letters_are_exported(console: Console) -> None:
    every = letters(console)
    lines = console.get("/problems/dead/export?format=jsonl&destination=totango")
    assert len(lines.text.splitlines()) == len(every)
    assert json.loads(lines.text.splitlines()[0])["event"]["event"] == REFUSED
    assert "dead-letters.jsonl" in lines.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(console.get("/problems/dead/export?format=csv&account=a-4").text)))
    assert [row["user"] for row in table] == ["u-4"]
    assert console.get("/problems/dead/export?destination=nobody").status == 404


def test_what_waits_behind_parked_keys_is_exported(console: Console) -> None:
    page = console.get("/problems/parked?destination=paused")
    to = [unescape(one) for one in re.findall(r'href="(/problems/parked/export[^"]*)"', page.text)]
    assert len(to) == 3, "all of it in two forms, and the one line"
    lines = [[json.loads(line) for line in console.get(one).text.splitlines()] for one in to if "jsonl" in one]
    assert [row["event"]["messageId"] for row in lines[0]] == [f"m-{n}" for n in range(100, 100 + WAITING)]
    assert lines[0] == lines[1]
    (csv_,) = (console.get(one) for one in to if "csv" in one)
    assert "parked-events.csv" in csv_.headers["content-disposition"]
    assert {row["key"] for row in csv.DictReader(io.StringIO(csv_.text))} == {'["acme","ada"]'}
    assert console.get("/problems/parked/export?destination=paused&account=nobody").text == ""
    eventually(lambda: exported(console, "export.parked") == [("paused", 4)], "the audit log tells of each file")
    for wrong in ("destination=nobody", "account=acme", "destination=paused&key=acme"):
        assert console.get(f"/problems/parked/export?{wrong}").status == 404, wrong


@pytest.mark.parametrize(
    "path",
    [
        *("/problems/dead/resend", "/problems/dead/discard", "/problems/dead/letter/1-0-1/edit"),
        *("/problems/dead/letter/1-0-1/check", "/problems/parked/retry", "/problems/parked/release"),
        *(
            "/problems/parked/skip",
            "/problems/skips/resend",
            "/replays/look",
            "/replays/1/stop",
            "/replays/dry-runs/1/start",
        ),
    ],
)
def test_a_viewer_changes_nothing(console: Console, path: str) -> None:
    before = letters(console)
    form = {"scope": "all", "destination": "totango", "event": "{}"}
    assert console.post(path, form, VIEWER).status == 403
    assert console.ask("POST", path, EDITOR, b"scope=all", {"Origin": console.url}).status == 403, "without the token"
    assert letters(console) == before


def test_a_viewer_is_offered_no_change(console: Console) -> None:
    for path in ("/problems/dead", "/problems/parked", OF_EXCLUDED, f"/problems/dead/letter/{letters(console)[0]}"):
        main = console.get(path, VIEWER).text.partition("<main")[2]
        assert '<form method="post"' not in main
        assert "<textarea" not in main
    assert console.get("/replays/new", VIEWER).status == 403


# Putting right


def test_a_skipped_event_is_chosen_looked_at_and_resent_once(
    console: Console, totango: Receiving, browser: Browser
) -> None:
    with console.visiting(browser, EDITOR) as page:
        page.goto(f"{console.url}{OF_EXCLUDED}")
        page.get_by_role("checkbox", name="m-501").check()
        page.get_by_role("button", name="Resend chosen").click()
        page.get_by_role("heading", name="What would be sent").wait_for()
        assert "m-501" in page.locator("#run").inner_text()
        assert "m-502" not in page.locator("#run").inner_text()
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Start the replay").click()
        page.get_by_text("has begun.").wait_for()
    eventually(lambda: told(console, "m-501")["state"] == "delivered", "delivered")
    assert [old["code"] for old in told(console, "m-501")["before"]] == ["FILTERED_BY_INTEGRATIONS_OBJECT"]
    assert told(console, "m-502")["state"] == "skipped"
    listed = console.get(OF_EXCLUDED, EDITOR).text
    assert re.findall(r'name="event_at" value="([^"]*)" aria-label="[^"]*(m-50.)"', listed)[0][1] == "m-502"
    assert listed.count('name="event_at"') == 1, "what was delivered since is not sent again"
    assert "delivered" in text(console.get(OF_EXCLUDED))


def test_an_event_without_an_account_is_filed_under_its_users_if_an_editor_says_so(
    console: Console, totango: Receiving
) -> None:
    of_code = "/problems/skips?destination=totango&code=missing_group_id"
    assert "a group call before the event had put its user into an account" in text(console.get(of_code, EDITOR))
    form = {"destination": "totango", "code": "missing_group_id", "scope": "all", "find_accounts": "1"}
    run = console.post("/problems/skips/resend", form, EDITOR).headers["location"]
    eventually(lambda: "Would be sent" in text(console.get(run)), "the dry run is done")
    page = text(console.get(run, EDITOR))
    assert "1 event would be filed under the account" in page
    assert "filed under hopper" in page
    assert "2 events would be skipped again, as missing_group_id" in page
    assert console.post(f"{run}/start").status == 303
    eventually(lambda: told(console, "m-job-3")["state"] == "delivered", "delivered")
    at = told(console, "m-job-3")
    assert at["filed"] == {"account": "hopper", "found": "earlier group call", "replay": at["replay"]}
    assert {request["body"]["sdr_o"] for request in at["requests"]} == {"hopper"}
    (sent,) = [
        seen.params for seen in totango.accepted() if seen.params.get("sdr_u") == "grace" and "sdr_a" in seen.params
    ]
    assert (sent["sdr_o"], sent["sdr_a"]) == ("hopper", "Job")
    story = console.get("/events?message=m-job-3")
    at_event = re.search(r"/events/0-[0-9]+", story.text)
    assert at_event is not None
    assert "Filed under the account hopper by replay" in text(console.get(at_event[0]))
    assert told(console, "m-job-1")["state"] == "skipped"
    said_by = console.milonga.say("explain", "m-job-3")
    assert "filed under account hopper by replay" in said_by
    stands_among_the_events_of_its_account(console, at["replay"])


def stands_among_the_events_of_its_account(console: Console, replay: int) -> None:
    eventually(lambda: "hopper" in text(console.get("/accounts")), "the index has the account")
    page = text(console.get("/account?id=hopper"))
    assert "1 of its newest 2 events was filed under it by a replay" in page
    assert f"Job track filed by replay {replay} grace" in page
    assert f'href="/replays/{replay}"' in console.get("/account?id=hopper").text
    assert f"none filed by replay {replay} grace" in text(console.get("/events?account=hopper&type=track"))
    assert "Nothing fits" in text(console.get("/events?account=hopper&type=page"))
    (row,) = json.loads(console.milonga.say("events", "list", "--account", "hopper", "--type", "track", "--json"))
    assert row["filed"] == [{"account": "hopper", "destination": "totango", "replay": replay}]
    assert row["account"] is None
    assert f"(replay {replay})" in console.milonga.say("events", "list", "--account", "hopper")
    explained = console.milonga.say("explain", "--account", "hopper")
    assert "beside them 1 event without account, filed under this one by replays" in explained
    assert "The newest 2 of 2:" in explained
    assert "m-job-3" in explained


def test_a_dead_letter_is_resent_from_the_table(console: Console, totango: Receiving, browser: Browser) -> None:
    with console.visiting(browser, EDITOR) as page:
        page.goto(f"{console.url}/problems/dead?account=a-1")
        totango.behave_well()
        page.get_by_role("checkbox", name="track").check()
        page.get_by_role("button", name="Resend chosen").click()
        page.get_by_text("1 dead letter resent.").wait_for()
    eventually(lambda: told(console, "m-1")["state"] == "delivered", "delivered")
    totango.behave(status=400, match={"sdr_a": REFUSED})


def test_a_dead_letter_is_edited_and_resent(console: Console, totango: Receiving, browser: Browser) -> None:
    totango.behave(status=400, match={"sdr_a": REFUSED})
    (at,) = re.findall(r"/problems/dead/letter/([0-9-]+)", console.get("/problems/dead?account=a-2").text)
    with console.visiting(browser, EDITOR) as page:
        page.goto(f"{console.url}/problems/dead/letter/{at}")
        editor = page.get_by_label("As it is to be sent")
        event = json.loads(editor.input_value())
        assert event["event"] == REFUSED
        editor.fill(json.dumps(event).replace('"type"', "type"))
        page.get_by_role("button", name="Resend edited").click()
        page.get_by_text("Expected JSON").wait_for()
        assert "Expected JSON" in page.locator("#event-text-wrong").inner_text()
        editor = page.get_by_label("As it is to be sent")
        assert "type" in editor.input_value(), "what was typed is still there"
        editor.fill(json.dumps({**event, "event": "Paid", "userId": "grace"}, indent=2))
        page.get_by_role("button", name="Check").click()
        page.get_by_text("It is an event").wait_for()
        assert "grace" in page.locator("#becomes").inner_text()
        page.get_by_role("button", name="Resend edited").click()
        page.get_by_text("1 dead letter edited and resent.").wait_for()
    eventually(lambda: "Paid" in [seen.params.get("sdr_a") for seen in totango.accepted()], "it went as it was edited")
    eventually(lambda: told(console, "m-2")["state"] == "delivered", "delivered")
    edited = told(console, "m-2")["edited"]
    assert (edited["by"], edited["event"]["userId"]) == ("user:the-editor", "grace")
    gone = console.get(f"/problems/dead/letter/{at}")
    assert gone.status == 404
    assert "is gone" in text(gone)
    with Workspace.open(console.data) as workspace:
        assert [row.by for row in workspace.audit.page(what="command.edit")] == ["user:the-editor"]


def test_what_is_resent_to_a_paused_destination_is_said_to_wait(console: Console) -> None:
    (at,) = re.findall(r"/problems/dead/letter/([0-9-]+)", console.get("/problems/dead?account=a-3").text)
    with Workspace.open(console.data) as workspace:
        workspace.change_state("totango", DestinationState.paused, "cli", "until Monday", {0: 999})
        assert "What is resent waits: totango is paused." in text(console.get(f"/problems/dead/letter/{at}", EDITOR))
        words = said(console, "/problems/dead/resend", letter=[at])
        assert words.endswith(" What was resent waits: totango is paused.")
        eventually(lambda: not workspace.commands.pending(), "delivery has come to it")
        workspace.change_state("totango", DestinationState.on, "cli", "", {0: 999})
    eventually(lambda: told(console, "m-3")["state"] == "dead", "refused once more")


def test_a_dead_letter_is_thrown_away_only_after_a_question(console: Console, browser: Browser) -> None:
    with console.visiting(browser, EDITOR) as page:
        page.goto(f"{console.url}/problems/dead?account=a-3")
        page.get_by_role("checkbox", name="track").check()
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.get_by_role("button", name="Discard chosen").click()
        assert page.get_by_role("checkbox", name="track").is_checked()
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Discard chosen").click()
        page.get_by_text("1 dead letter discarded.").wait_for()
        page.get_by_text("No dead letter fits").wait_for()


def test_what_was_not_chosen_or_is_gone_is_told(console: Console) -> None:
    assert said(console, "/problems/dead/resend", scope="chosen") == "No dead letter was chosen."
    assert said(console, "/problems/dead/discard", letter=["1-0-999", "x-y", "9"]) == "0 dead letters discarded."
    assert console.post("/problems/dead/letter/1-0-999/edit", {"event": "{}"}, EDITOR).status == 404
    assert said(console, "/problems/parked/retry", destination="paused", key=["0-1 nothing", "", "["]) == (
        "No key was chosen."
    )


def test_the_first_event_of_a_parked_key_is_edited_in_its_place(console: Console) -> None:
    keys = console.get("/problems/parked?destination=paused", EDITOR)
    to = unescape(re.findall(r'href="(/problems/parked/event/[^"]*)"', keys.text)[0])
    page = console.get(to, EDITOR)
    assert "It waits behind" not in words(page.text)
    assert "Waits behind acme, ada" in words(page.text)
    assert "and goes with it" in words(page.text)
    assert "of the batch" in words(page.text)
    assert "What is sent waits: paused is paused." in words(page.text)
    assert 'textarea class="code"' not in console.get(to).text, "a viewer edits nothing"
    parked_at = re.search(r'name="parked_at" value="([0-9]+)"', page.text)
    assert parked_at is not None
    event = {"type": "track", "event": "Mended", "userId": "ada", "context": {"groupId": "acme"}}
    for wrong, says in (
        ("{", "Expected JSON"),
        (json.dumps(event | {"userId": "eve"}), "where it does not stand"),
        (json.dumps(event | {"messageId": "another"}), "it stays the same event"),
    ):
        form = {"event": wrong, "parked_at": parked_at[1]}
        assert says in words(console.post(f"{to}/check", form, EDITOR).text)
        refused = console.post(f"{to}/edit", form, EDITOR)
        assert (refused.status, says in words(refused.text)) == (422, True)
    form = {"event": json.dumps(event), "parked_at": parked_at[1]}
    assert "It would become 1 request." in words(console.post(f"{to}/check", form, EDITOR).text)
    assert said(console, f"{to}/edit", **form) == (
        "1 event edited, and sent as soon as the receiver allows. What is sent waits: paused is paused."
    )
    assert "It was edited by the-editor" in words(console.get(to).text)
    line = console.get("/problems/parked/export?destination=paused&account=acme").text.splitlines()[0]
    assert json.loads(line)["event"]["event"] == "Mended"
    assert console.post("/problems/parked/event/1-0-1/edit", form, EDITOR).status == 404, "that is not parked"
    for nothing in ("x", "9-0-1", "2-0", "2-0-99999"):
        assert console.get(f"/problems/parked/event/{nothing}").status == 404


def test_a_parked_key_is_skipped_by_its_first_event_or_as_a_whole_line(console: Console) -> None:
    page = console.get("/problems/parked?destination=paused", EDITOR)
    assert f"{WAITING}" in text(page)
    key = unescape(re.findall(r'name="key" value="([^"]*)"', page.text)[0])
    form = {"destination": "paused", "scope": "chosen", "key": key}
    assert said(console, "/problems/parked/skip", **form) == "1 event skipped."
    assert said(console, "/problems/parked/skip", **form) == "0 events skipped.", "another one is first by now"
    assert "1 key tried again now." in said(console, "/problems/parked/retry", **form)
    assert "1 key released." in said(console, "/problems/parked/release", destination="paused", scope="all")
    assert said(console, "/problems/parked/skip?whole=1", **form) == f"{WAITING - 1} events skipped."
    eventually(lambda: "Nothing needs you" in text(console.get("/problems/parked?destination=paused")), "none is left")
