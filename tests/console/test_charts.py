"""A chart in all its states, in Chromium: for eyes, for ears, as a table, and always of the same size."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from milonga.workspace.store import Workspace
from tests.console.harness import Console, console_of
from tests.running import Client, eventually, track

NOON = 1_700_000_400  #: unix seconds, at the beginning of a minute
ARRIVALS: dict[str, Any] = {
    "times": [NOON + 60 * minute for minute in range(4)],
    "unit": "",
    "every": 1,
    "of": "counts",
    "series": [
        {"name": "accepted", "tone": "accent", "values": [3, 1_200, 40, 7]},
        {"name": "discarded", "tone": "bad", "values": [0, 0, 0, 0]},
    ],
}
BACKLOG: dict[str, Any] = {
    "times": ARRIVALS["times"],
    "unit": "",
    "every": 1,
    "of": "most",
    "series": [
        {"name": "waiting", "tone": "accent", "values": [None, 5, 9, 2]},
        {"name": "oldest", "tone": "warn", "unit": "ms", "values": [None, 61_000, 7_300_000, 350]},
    ],
}
NOTHING = {**ARRIVALS, "series": [{"name": "accepted", "tone": "accent", "values": [0, 0, 0, 0]}]}
UNKNOWN = {**BACKLOG, "series": [{"name": "waiting", "tone": "accent", "values": [None, None, None, None]}]}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("charts")) as running:
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", "charts")
        with Client(running.milonga.port, "charts") as client:
            client.send([track(1, "ada", "acme")])  # before the first there are no charts
        yield running


@pytest.fixture
def page(console: Console, browser: Browser) -> Iterator[Page]:
    with console.visiting(browser, locale="en-GB", timezone_id="UTC", viewport={"width": 1280, "height": 900}) as page:
        page.clock.install()
        yield page


def answering(page: Page, **charts: dict[str, Any]) -> None:
    """What the charts of the overview read; of others there is nothing."""

    def answer(route: Route) -> None:
        named = route.request.url.partition("/charts/")[2].partition("?")[0]
        route.fulfill(json=charts.get(named, NOTHING))

    page.route("**/charts/*", answer)


def chart(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name).locator(".chart")


def height(place: Locator) -> float:
    box = place.bounding_box()
    assert box is not None
    return box["height"]


def test_what_is_drawn_is_told_in_words_and_may_be_read_as_a_table(console: Console, page: Page) -> None:
    answering(page, arrivals=ARRIVALS, backlog=BACKLOG)
    page.goto(console.url)
    arrived = chart(page, "What arrived")
    expect(arrived).to_have_attribute("data-state", "drawn")
    expect(arrived.locator("[data-chart-summary]")).to_have_text(
        "A chart from 22:20 to 22:23, a value for each minute. accepted: 1,250 in all, highest 1,200 at 22:21."
        " discarded: none."
    )
    waited = chart(page, "What waited, and for how long")
    expect(waited.locator("[data-chart-summary]")).to_have_text(
        "A chart from 22:20 to 22:23, a value for each minute. waiting: 2 most in the latest minute, highest 9 at"
        " 22:22. oldest: 350 ms most in the latest minute, highest 2 h at 22:22."
    )
    expect(waited.locator("[data-chart-when]")).to_have_text("most in the latest minute")
    expect(arrived.locator("[data-chart-when]")).to_have_text("in all")
    table = arrived.locator("details")
    table.locator("summary").press("Enter")
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.first).to_have_text("14 Nov 22:23 so far70")
    expect(rows.nth(2)).to_have_text("14 Nov 22:211,2000")
    expect(rows.first.locator("time")).to_have_attribute("title", "2023-11-14 22:23 UTC")
    waited.locator("summary").click()
    expect(waited.locator("tbody tr").last).to_have_text("14 Nov 22:20\N{EN DASH}\N{EN DASH}")


def test_a_line_is_taken_out_and_put_back_by_its_name(console: Console, page: Page) -> None:
    answering(page, arrivals=ARRIVALS)
    page.goto(console.url)
    accepted = chart(page, "What arrived").get_by_role("button", name="accepted 1,250")
    expect(accepted).to_have_attribute("aria-pressed", "true")
    accepted.press("Enter")
    expect(accepted).to_have_attribute("aria-pressed", "false")
    page.clock.fast_forward(60_000)
    expect(accepted).to_have_attribute("aria-pressed", "false")
    accepted.click()
    expect(accepted).to_have_attribute("aria-pressed", "true")


def test_while_it_loads_when_it_fails_and_where_nothing_is_it_has_the_same_size(console: Console, page: Page) -> None:
    held: list[Route] = []
    page.route("**/charts/*", lambda route: held.append(route))
    page.goto(console.url)
    arrived = chart(page, "What arrived")
    expect(arrived).to_contain_text("Loading…")
    size = height(arrived)
    eventually(lambda: page.evaluate("1") == 1 and len(held) == 4, "all four are asked for")
    answering(page, arrivals=ARRIVALS, backlog=UNKNOWN)  # from now on
    for route in held:
        route.fulfill(status=503)
    expect(arrived).to_contain_text("The figures could not be read.")
    assert height(arrived) == size
    arrived.get_by_role("button", name="Try again").press("Enter")
    expect(arrived).to_have_attribute("data-state", "drawn")
    assert height(arrived) == size
    page.reload()
    expect(chart(page, "What became of it")).to_contain_text("Nothing came to its end in this time.")
    assert height(chart(page, "What became of it")) == size
    expect(chart(page, "What waited, and for how long")).to_contain_text("Nothing is known of this time")


def test_what_cannot_be_renewed_stays_and_says_how_old_it_is(console: Console, page: Page) -> None:
    answering(page, arrivals=ARRIVALS)
    page.goto(console.url)
    arrived = chart(page, "What arrived")
    expect(arrived).to_have_attribute("data-state", "drawn")
    size = height(arrived)
    page.unroute("**/charts/*")
    page.route("**/charts/*", lambda route: route.abort())
    page.clock.fast_forward(60_000)
    expect(arrived).to_contain_text("Could not be renewed: as of")
    expect(arrived.locator("canvas")).to_be_visible()
    assert height(arrived) == size
    page.unroute("**/charts/*")
    answering(page, arrivals=ARRIVALS)
    page.clock.fast_forward(60_000)
    expect(arrived).not_to_contain_text("Could not be renewed")
