"""Trying out in the console: over HTTP, and as one types in Chromium."""

import html
import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.furnished import furnished
from tests.console.harness import PATIENCE, Answer, Console
from tests.console.reading import words
from tests.running import eventually

TRACK: dict[str, Any] = {"type": "track", "userId": "ada", "event": "Saved", "context": {"groupId": "acme"}}
HTMX = {"HX-Request": "true"}
ID = 1  #: of the destination totango in the furnished workspace


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with furnished(tmp_path_factory.mktemp("preview")) as running:
        found = "/events/0-91"
        eventually(lambda: found in running.get("/events?message=m-refused").text, "the index has all events")
        yield running


def tried(console: Console, event: object, **more: str) -> Answer:
    return console.post("/preview", form(event, **more), role=Role.viewer, headers=HTMX)


def form(event: object, **more: str) -> dict[str, str]:
    text = event if isinstance(event, str) else json.dumps(event)
    return {"p.text": text, "p.destination": "totango", "p.of": str(ID), **more}


def said(answer: Answer) -> str:
    assert answer.status == 200, answer.text
    return words(answer.text)


def test_a_viewer_sees_the_requests_that_an_event_would_become(console: Console) -> None:
    found = said(tried(console, TRACK))
    for part in ("1 request", "sdr_a Saved", "Understood as track, Saved", "acme from context.groupId"):
        assert part in found
    assert "Nothing says in which part of the product this happened" in found
    assert "<main" not in tried(console, TRACK).text


def test_settings_edited_beside_it_count_and_are_not_saved(console: Console) -> None:
    with Workspace.open(console.data) as workspace:
        before = workspace.destination("totango")
    found = said(tried(console, TRACK, serviceId="SP-77-01", defaultModule="Other"))
    assert "sdr_s SP-77-01" in found
    assert "sdr_m Other" in found
    assert "with other settings than are saved: Service ID, Default Module" in found
    filters = json.dumps([{"name": "no-saves", "do": "drop", "when": 'event == "Saved"'}])
    skipped = tried(console, TRACK, filters=filters)
    assert "It would not be sent: filter:no-saves" in said(skipped)
    assert 'href="/destinations/totango/filters"' in skipped.text
    with Workspace.open(console.data) as workspace:
        assert workspace.destination("totango") == before


@pytest.mark.parametrize(
    ("event", "more", "words"),
    [
        ("nonsense", {}, "This is no JSON of an event"),
        ({"type": "track", "userId": "a"}, {}, "It would not be accepted: event_not_defined"),
        ("", {}, "No event yet"),
        (TRACK, {"region": "mars"}, "Region"),
        (TRACK, {"endpoint": "nowhere"}, "Endpoint"),
        (TRACK, {"filters": "[{]"}, "not JSON"),
        ({**TRACK, "context": {}}, {}, "It would not be sent: missing_group_id"),
    ],
)
def test_what_is_wrong_is_said_where_the_result_would_be(
    console: Console, event: object, more: dict[str, str], words: str
) -> None:
    assert words in said(tried(console, event, **more))


def test_a_secret_is_neither_shown_nor_given_back(console: Console) -> None:
    answer = tried(console, TRACK, sdrToken="typed-just-now")
    assert "api-token ***" in said(answer)
    whole = console.post(
        "/preview", {"p.text": json.dumps(TRACK), "p.destination": "totango", "p.of": "1", "sdrToken": "typed-just-now"}
    )
    assert whole.status == 200
    assert "typed-just-now" not in answer.text + whole.text


def test_what_was_pasted_and_is_no_json_is_said_to_be_mended(console: Console) -> None:
    text = json.dumps({**TRACK, "properties": {"n": float("nan")}})
    assert "What was pasted is no JSON It was mended, as what arrives is: NaN" in said(tried(console, text))
    assert "mended" not in said(tried(console, TRACK))


def test_another_destination_brings_its_settings(console: Console) -> None:
    answer = tried(console, TRACK, **{"p.destination": "warehouse", "serviceId": "SP-77-01"})
    assert 'id="settings" class="stack" hx-swap-oob="true"' in answer.text
    assert 'name="url"' in answer.text
    assert "missing_url" in said(answer)
    assert 'id="settings"' not in tried(console, TRACK).text


def test_a_picked_event_is_tried_as_it_was_stamped(console: Console) -> None:
    page = said(console.get("/preview?event=0-91&destination=totango"))
    assert "Understood as track, Refused Purchase" in page
    assert "Picked: the event at 0-91" in page
    assert "No event yet" in said(console.get("/preview?event=0-4711"))


def test_without_scripts_the_whole_page_comes_back_as_it_was_typed(console: Console) -> None:
    page = console.post("/preview", form(TRACK, serviceId="SP-77-01"), role=Role.viewer)
    assert "<main" in page.text
    assert 'value="SP-77-01"' in page.text
    assert html.escape(json.dumps(TRACK), quote=False) in page.text.replace("&#34;", '"')


def test_the_result_follows_as_a_person_types(console: Console, browser: Browser) -> None:
    with console.visiting(browser, Role.viewer) as page:
        page.goto(f"{console.url}/preview")
        result = page.locator("#result")
        page.get_by_role("link", name="group", exact=True).click()
        expect(result.get_by_role("cell", name="sdr_o.Status")).to_be_visible(timeout=PATIENCE)
        text = page.get_by_label("As an SDK sends it, in JSON")
        text.fill(json.dumps({"type": "group", "userId": "ada", "groupId": "acme", "traits": {"createdAt": "soon"}}))
        expect(result.get_by_text("Status is set to Free")).to_be_visible(timeout=PATIENCE)
        expect(result.get_by_text("cannot be read as a date: left out")).to_be_visible(timeout=PATIENCE)
        page.locator("summary", has_text="Settings of totango").click()
        page.get_by_label("Default Plan").fill("Trial")
        expect(result.get_by_role("cell", name="Trial", exact=True)).to_be_visible(timeout=PATIENCE)
        expect(result.get_by_text("with other settings than are saved: Default Plan")).to_be_visible(timeout=PATIENCE)
        page.get_by_label("Destination", exact=True).select_option("warehouse")
        expect(result.get_by_text("It would not be sent: missing_url")).to_be_visible(timeout=PATIENCE)
        page.locator("summary", has_text="Settings of warehouse").click()
        page.get_by_label("URL", exact=False).first.fill("https://hooks.example.com/in")
        expect(result.get_by_text("POST https://hooks.example.com/in").first).to_be_visible(timeout=PATIENCE)


def test_on_a_phone_the_result_comes_into_view_once_it_is_asked_for(console: Console, browser: Browser) -> None:
    with console.visiting(browser, Role.viewer, viewport={"width": 390, "height": 844}) as page:
        page.goto(f"{console.url}/preview?event=0-91&destination=totango")
        heading, verdict = page.get_by_role("heading", name="What it becomes"), page.locator("#verdict")
        text = page.get_by_label("As an SDK sends it, in JSON")
        expect(verdict).to_have_text("It would become 1 request")
        text.fill(json.dumps({**TRACK, "context": {}}))
        expect(verdict).to_have_text("It would not be sent: see why", timeout=PATIENCE)
        expect(text).to_be_focused()
        page.get_by_role("button", name="Try it").click()
        expect(heading).to_be_focused()
        expect(page.get_by_text("It would not be sent: missing_group_id")).to_be_in_viewport()
        text.fill("{")
        expect(verdict).to_have_text("Something is wrong: see what", timeout=PATIENCE)
        expect(text).to_be_focused()
        verdict.get_by_role("link").click()
        expect(heading).to_be_focused()
        expect(heading).to_be_in_viewport()


def test_a_person_finds_an_event_reads_it_and_tries_it_again(console: Console, browser: Browser) -> None:
    with console.visiting(browser, Role.viewer) as page:
        page.goto(f"{console.url}/events")
        page.get_by_label("Name, exactly").fill("Refused Purchase")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Refused Purchase").click()
        expect(page.get_by_role("heading", name="Refused Purchase", level=1)).to_be_visible(timeout=PATIENCE)
        page.get_by_text("As a command to copy").first.click()
        command = page.get_by_text("--data-urlencode 'sdr_a=Refused Purchase'").first
        expect(command).to_be_visible(timeout=PATIENCE)
        page.get_by_role("link", name="Raw", exact=True).click()
        expect(page.get_by_text("As the sender wrote it. What is no JSON was mended on arrival")).to_be_visible(
            timeout=PATIENCE
        )
        page.get_by_role("link", name="Try it with other settings", exact=True).click()
        expect(page.get_by_text("Picked: the event at 0-91")).to_be_visible(timeout=PATIENCE)
        expect(page.locator("#result").get_by_text("1 request", exact=True)).to_be_visible(timeout=PATIENCE)
