"""A destination's life in Chromium: switched on, broken, told, repaired, drained, undone; a filter as it is typed."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from milonga.destinations.totango.fake import pretend
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.console.harness import PATIENCE, Console, console_of
from tests.receiving import Receiving
from tests.running import Client, eventually, track

KEY = "k-story"
TOKEN = "the-right-token"

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def totango() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("story")) as running:
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", KEY)
        yield running


def send(console: Console, *numbers: int) -> None:
    """Each of an account and a user of its own."""
    with Client(console.milonga.port, KEY) as client:
        client.send([track(number, f"user-{number}", f"account-{number}") for number in numbers])


def taken(totango: Receiving) -> set[str]:
    """Activities that the pretend Totango has kept."""
    return {seen.params["sdr_a"] for seen in totango.accepted() if "sdr_a" in seen.params}


def test_totango_is_switched_on_breaks_is_repaired_and_undone(
    console: Console, browser: Browser, totango: Receiving
) -> None:
    with console.visiting(browser) as page:
        switch_on(page, console, totango)
        send(console, 1)
        eventually(lambda: "e-1" in taken(totango), "the next event is at Totango")
        assert all(seen.params["sdr_s"] == "SP-12345-01" for seen in totango.accepted())

        totango.behave(status=401)
        totango.behave(status=200, match={"api-token": TOKEN})
        send(console, 2, 3, 4, 5)
        # The page that is open tells of it without being loaded again.
        told = page.locator(".note-box", has_text="Paused by Milonga")
        expect(told).to_contain_text("401")
        expect(told).to_contain_text("It goes on by itself when its settings are changed")
        expect(page.get_by_text("The 4 waiting events go out first")).to_be_visible()
        assert taken(totango) == {"e-1"}

        told.get_by_role("link", name="settings").click()
        expect(page.get_by_text("Paused because of its settings")).to_be_visible()
        page.get_by_label("SDR Token").fill(TOKEN)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved as version 2. It is on again.")).to_be_visible()
        expect(page.get_by_text("In force since")).to_be_visible()
        eventually(lambda: taken(totango) == {"e-1", "e-2", "e-3", "e-4", "e-5"}, "what has waited is there")
        page.get_by_role("link", name="Overview").last.click()
        expect(page.get_by_text("Nothing waits.")).to_be_visible()
        assert TOKEN not in page.content()

        page.get_by_role("link", name="History").click()
        expect(page.get_by_text("SDR Token")).to_be_visible()
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("Saved as version 3, equal to version 1.")).to_be_visible()
    with Workspace.open(console.data) as workspace:
        assert getattr(workspace.destination("totango").settings, "sdr_token", None) == ""
        assert workspace.destination("totango").changes[-1].by == "user:the-editor"


def switch_on(page: Page, console: Console, totango: Receiving) -> None:
    page.goto(f"{console.url}/destinations")
    page.get_by_role("link", name="Add a destination").first.click()
    page.get_by_role("link", name="Set up Totango").click()
    page.get_by_label("Service ID").fill("SP-12345-01")
    page.get_by_text("Settings that few need").click()
    page.get_by_label("Endpoint").fill(totango.url)
    page.get_by_role("button", name="Add Totango").click()
    expect(page.get_by_text("totango was added and gets the events that arrive from now on.")).to_be_visible()
    expect(page.get_by_text("In force since")).to_be_visible()


def test_a_connection_is_tested_and_a_filter_checked_while_one_types(
    console: Console, browser: Browser, totango: Receiving
) -> None:
    with Workspace.open(console.data) as workspace:
        settings = {"serviceId": "SP-1-01", "endpoint": totango.url}
        workspace.add_destination("totango", "web", "typed", settings, DestinationState.off, {0: 0})
    with console.visiting(browser) as page:
        page.goto(f"{console.url}/destinations/typed/settings")
        page.get_by_role("button", name="Test the connection").click()
        expect(page.locator("#tested")).to_contain_text("is reachable, at 127.0.0.1")
        page.get_by_text("Settings that few need").click()
        page.get_by_label("Endpoint").fill("http://127.0.0.1:1")
        page.get_by_role("button", name="Test the connection").click()
        expect(page.locator("#tested")).to_contain_text("Not reachable")
        assert page.url.endswith("/destinations/typed/settings")

        page.goto(f"{console.url}/destinations/typed/filters/new")
        page.get_by_label("Name", exact=True).fill("no-tests")
        page.get_by_label("When").press_sequentially("event = 1")
        expect(page.locator("#condition mark")).to_have_text("=")
        page.get_by_label("When").fill('event == "e-1"')
        expect(page.locator("#condition")).to_contain_text("can be decided for every event")
        expect(page.get_by_label("Share, in percent")).to_be_hidden()
        page.get_by_label("Send a sample of it").check()
        expect(page.get_by_label("Share, in percent")).to_be_visible()
        page.get_by_label("Drop it").check()
        page.get_by_role("button", name="Try it on recent events").click()
        expect(page.locator("#tried")).to_contain_text("would be sent")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("no-tests was saved.")).to_be_visible()
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_text("no-tests was removed.")).to_be_visible()


def test_a_form_that_nobody_touched_changes_nothing_whatever_it_holds(console: Console, browser: Browser) -> None:
    odd = {
        "url": "https://x.example/in?key=4711&a=b",
        "headers": {"X-Team": 'gro"wth <b>', "X-Two": "2"},
        "signingSecrets": "whsec_" + "a" * 40,
        "rateLimit": 0.5,
    }
    plan = {"serviceId": "SP-1-01", "defaultPlan": '\n first\nsecond & "third" ', "region": "eu"}
    with Workspace.open(console.data) as workspace:
        workspace.add_destination("webhook", "web", "odd-hook", odd, DestinationState.off, {0: 0})
        workspace.add_destination("totango", "web", "odd-plan", plan, DestinationState.off, {0: 0})
    with console.visiting(browser) as page:
        for at in ("odd-hook/settings", "odd-hook/delivery", "odd-plan/settings"):
            page.goto(f"{console.url}/destinations/{at}")
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_text("Nothing was changed: these are its settings already.")).to_be_visible()
