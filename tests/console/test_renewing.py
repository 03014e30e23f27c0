"""What a page renews by itself, in Chromium: nothing is taken out of anybody's hands, and nothing shown is old."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.console.harness import PATIENCE, Console, console_of
from tests.running import Client, eventually, track

KEY = "k-web"
OLD = "document.querySelector('#figures .card').dataset.old = 'true'"
RENEWED = "!document.querySelector('#figures [data-old]')"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("renewing")) as running:
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", KEY)
            workspace.add_destination("totango", "web", "totango", {}, DestinationState.off, {0: 0})
        yield running


def renewed(page: Page) -> None:
    """Its figures are other ones than before, of ten seconds later."""
    page.evaluate(OLD)
    page.clock.fast_forward(10_000)
    eventually(lambda: bool(page.evaluate(RENEWED)), "the figures are renewed")


def test_the_focus_stays_where_it_was(console: Console, browser: Browser) -> None:
    with console.visiting(browser) as page:
        page.clock.install()
        page.goto(console.url)
        link = page.locator("#figures").get_by_role("link", name="totango")
        link.focus()
        renewed(page)
        expect(link).to_be_focused()


def test_a_table_that_was_moved_sideways_stays_there(console: Console, browser: Browser) -> None:
    with console.visiting(browser, viewport={"width": 660, "height": 844}) as page:
        page.clock.install()
        page.goto(console.url)
        moved = "[...document.querySelectorAll('#figures .table')].at(-1).scrollLeft"
        page.evaluate(f"{moved} = 40")
        renewed(page)
        eventually(lambda: page.evaluate(moved) == 40, "it is where it was")


def test_what_was_opened_in_a_preview_stays_open_while_settings_are_typed(console: Console, browser: Browser) -> None:
    with console.visiting(browser) as page:
        page.goto(f"{console.url}/preview?example=group&destination=totango")
        page.get_by_text("Settings of totango", exact=True).click()
        page.get_by_label("Service ID").fill("SP-1-01")
        command = page.locator("#result details").first
        command.locator("summary").click()
        expect(command.locator("code")).to_contain_text("SP-1-01")
        page.get_by_label("Service ID").fill("SP-2-02")
        expect(command.locator("code")).to_contain_text("SP-2-02")
        expect(command).to_have_attribute("open", "")


def test_a_chart_is_drawn_anew_each_minute_and_keeps_no_session_going(console: Console, browser: Browser) -> None:
    with console.visiting(browser) as page:
        page.clock.install()
        page.goto(f"{console.url}/sources/web")
        chart = page.get_by_role("region", name="What arrived")
        expect(chart).to_contain_text("Nothing arrived in this time.")
        with Client(console.milonga.port, KEY) as client:
            client.send([track(1, "ada", "acme")])
        with page.expect_request("**/charts/arrivals*", timeout=PATIENCE) as asked:
            page.clock.fast_forward(60_000)
        assert asked.value.headers["hx-request"] == "true"  # as nothing that a person asked for
        for _ in range(30):  # counts are readable a moment after their event
            if chart.locator("canvas").count():
                break
            page.clock.fast_forward(60_000)
            page.wait_for_load_state("networkidle")
        expect(chart.locator("canvas")).to_be_visible()
