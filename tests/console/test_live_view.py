"""The debugger in Chromium, with the real server: from the snippet in a page to the row that appears by itself."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from milonga.workspace.store import Workspace
from tests.answering import answering
from tests.console.harness import Console, console_of
from tests.running import Client, eventually, track

KEY = "k-web"
ROWS = "[data-live-rows] tr"
LINES = """time => {
  time.textContent = '10:10:10 PM'
  const all = document.createRange()
  all.selectNodeContents(time)
  return all.getClientRects().length
}"""  #: on how many lines the widest time of day stands
SLOW = 60_000  #: milliseconds that nothing here ever needs


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("live")) as running:
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", KEY)
        yield running


@contextmanager
def site_with(snippet: str) -> Iterator[str]:
    """A web site of one page; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (
                f"<!doctype html><title>A site</title><head>{snippet}</head>"
                "<button onclick=\"analytics.track('Signed up', { plan: 'Pro' })\">Sign up</button>"
            ).encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/"


@contextmanager
def watching(console: Console, browser: Browser, name: str = "web", query: str = "") -> Iterator[Page]:
    """The live view of a source without an event yet, connected."""
    with console.visiting(browser, viewport={"width": 1280, "height": 900}) as page:
        page.goto(f"{console.url}/sources/{name}/live{query}")
        state(page, "waiting")
        yield page


def state(page: Page, named: str) -> None:
    expect(page.locator("[data-live-state]")).to_have_text(named, timeout=SLOW)


def rows(page: Page) -> list[str]:
    """Names of the events that are shown, newest first."""
    return page.locator(f"{ROWS} strong").all_text_contents()


def shows(page: Page, *names: str) -> None:
    """Exactly these, newest first."""
    eventually(lambda: rows(page) == list(names), f"{names} are shown: {rows(page)}")


def send(console: Console, key: str, *numbers: int, account: str = "acme") -> None:
    with Client(console.milonga.port, key) as client:
        client.send([track(number, "ada", account) for number in numbers])


def new_source(console: Console, name: str) -> str:
    """Its write key."""
    with Workspace.open(console.data) as workspace:
        return workspace.sources.add(name).write_keys[0]


def test_from_a_new_source_to_the_first_event_and_the_next_click(console: Console, browser: Browser) -> None:
    with console.visiting(browser) as page:
        page.goto(f"{console.url}/sources")
        page.get_by_role("link", name="Create a source").first.click()
        page.get_by_label("Name").fill("shop")
        page.get_by_role("button", name="Create it").click()
        expect(page.get_by_text("Source shop is there.")).to_be_visible(timeout=SLOW)
        listening = page.locator(".listening")
        expect(listening).to_contain_text("Listening for the first event…", timeout=SLOW)
        snippet = page.locator("#snippet").text_content() or ""
        with site_with(snippet) as address:
            visited = page.context.new_page()
            visited.goto(address)
            expect(listening).to_contain_text("It is here", timeout=SLOW)
            listening.get_by_role("link").click()
            expect(page.locator(ROWS)).to_have_count(1, timeout=SLOW)
            state(page, "waiting")
            visited.get_by_role("button").click()
            expect(page.locator(ROWS)).to_have_count(2, timeout=SLOW)
            expect(page.locator(ROWS).first).to_contain_text("Signed up", timeout=SLOW)
            state(page, "live")
            assert page.locator(f"{ROWS} time").first.evaluate(LINES) == 1
            page.locator(ROWS).first.click()
            chosen = page.locator("#chosen")
            expect(chosen).to_contain_text("Pro", timeout=SLOW)
            expect(chosen.locator("#received")).to_be_hidden()
            chosen.get_by_text("Raw").click()
            expect(chosen.locator("#received")).to_contain_text('"event": "Signed up"', timeout=SLOW)
            story = chosen.get_by_role("link", name="The whole story").get_attribute("href")
            assert re.fullmatch(r"/events/0-\d+", story or "")


def test_on_a_phone_a_time_of_twelve_hours_has_room(console: Console, browser: Browser) -> None:
    send(console, new_source(console, "phone"), 1)
    narrow: ViewportSize = {"width": 390, "height": 844}
    with console.visiting(browser, viewport=narrow, locale="en-US", timezone_id="America/New_York") as page:
        page.goto(f"{console.url}/sources/phone/live")
        expect(page.locator(ROWS)).to_have_count(1, timeout=SLOW)
        time = page.locator(f"{ROWS} time")
        expect(time).to_have_text(re.compile("[AP]M$"), timeout=SLOW)
        assert time.evaluate(LINES) == 1


def test_while_paused_nothing_moves_and_then_what_came_meanwhile_is_there(console: Console, browser: Browser) -> None:
    key = new_source(console, "paused")
    with watching(console, browser, "paused") as page:
        send(console, key, 1)
        shows(page, "e-1")
        page.get_by_role("button", name="Pause").click()
        state(page, "paused")
        send(console, key, 2, 3)
        assert rows(page) == ["e-1"]
        page.get_by_role("button", name="Resume").click()
        shows(page, "e-3", "e-2", "e-1")
        page.get_by_role("button", name="Clear").click()
        assert rows(page) == []


def test_a_lost_connection_comes_back_by_itself_and_nothing_is_missing_or_twice(
    console: Console, browser: Browser
) -> None:
    key = new_source(console, "lost")
    with watching(console, browser, "lost") as page:
        send(console, key, 1)
        shows(page, "e-1")
        pid = console.milonga.console_pid()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        send(console, key, 2)
        os.kill(pid, signal.SIGKILL)
        state(page, "connection lost")
        shows(page, "e-2", "e-1")
        send(console, key, 3)
        shows(page, "e-3", "e-2", "e-1")
        state(page, "live")


def test_at_a_high_rate_some_are_shown_and_it_says_how_many_were_not(console: Console, browser: Browser) -> None:
    key = new_source(console, "busy")
    with watching(console, browser, "busy") as page:
        with Client(console.milonga.port, key) as client:
            for start in range(0, 4_000, 500):
                client.send([track(number, "ada", "acme") for number in range(start, start + 500)])
        words = page.locator("[data-live-words]")
        expect(words).to_contain_text("more were not shown", timeout=SLOW)
        eventually(lambda: bool(rows(page)) and rows(page)[0] == "e-3999", "the newest is shown")
        assert len(rows(page)) < 500
        state(page, "live")


def test_only_what_is_searched_for_comes(console: Console, browser: Browser) -> None:
    key = new_source(console, "searched")
    with watching(console, browser, "searched", "?q=OTHER&in=account") as page:
        send(console, key, 1)
        send(console, key, 2, account="another")
        shows(page, "e-2")
        page.get_by_role("link", name="All", exact=True).click()
        shows(page, "e-2", "e-1")
        page.get_by_label("Type").select_option("page")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("[data-live-none]")).to_contain_text("fits", timeout=SLOW)
        assert rows(page) == []


def test_what_is_discarded_appears_with_its_code(console: Console, browser: Browser) -> None:
    key = new_source(console, "wrong")
    with watching(console, browser, "wrong") as page:

        def told() -> bool:
            with Client(console.milonga.port, key) as client:
                client.send([{"type": "track", "userId": "ada"}])
            page.wait_for_timeout(200)
            return page.locator(f"{ROWS}.is-discarded").count() > 0

        eventually(told, "one that came while somebody watched")
        row = page.locator(f"{ROWS}.is-discarded").first
        expect(row).to_contain_text("event_not_defined")
        row.get_by_text("Have the track call pass a name").click()
        expect(row.get_by_text("Expected the name of the event")).to_be_visible()
        expect(row.locator("pre")).to_contain_text('"userId": "ada"')


def test_by_keyboard_a_row_leads_to_its_event_and_back(console: Console, browser: Browser) -> None:
    key = new_source(console, "keys")
    with watching(console, browser, "keys") as page:
        send(console, key, 1, 2, 3)
        shows(page, "e-3", "e-2", "e-1")
        reached = page.locator(f"{ROWS} a.choose")
        page.get_by_role("region", name="Events", exact=True).focus()
        page.keyboard.press("Tab")
        expect(reached.first).to_be_focused(timeout=SLOW)
        page.keyboard.press("ArrowDown")
        expect(reached.nth(1)).to_be_focused(timeout=SLOW)
        page.keyboard.press("Enter")
        expect(page.locator("#chosen h2")).to_be_focused(timeout=SLOW)
        expect(page.locator("#chosen h2")).to_have_text("e-2", timeout=SLOW)
        send(console, key, 4)
        shows(page, "e-4", "e-3", "e-2", "e-1")
        page.keyboard.press("Escape")
        expect(reached.nth(2)).to_be_focused(timeout=SLOW)
        page.keyboard.press("End")
        expect(reached.last).to_be_focused(timeout=SLOW)
        page.keyboard.press("Home")
        expect(reached.first).to_be_focused(timeout=SLOW)
        page.keyboard.press("Tab")
        assert page.locator(f"{ROWS} :focus").count() == 0, "the rows are one stop"


def test_it_is_said_aloud_that_events_came_though_not_of_each_and_which_one_is_shown(
    console: Console, browser: Browser
) -> None:
    key = new_source(console, "aloud")
    with console.visiting(browser) as page:
        page.clock.install()
        page.goto(f"{console.url}/sources/aloud/live")
        state(page, "waiting")
        said = page.locator("[data-live-said]")
        send(console, key, 1, 2)
        shows(page, "e-2", "e-1")
        page.clock.fast_forward(15_000)
        expect(said).to_have_text(re.compile(r"[12] new events?\."), timeout=SLOW)
        page.locator(ROWS).first.click()
        expect(said).to_have_text("e-2 is shown.", timeout=SLOW)


def test_without_a_session_it_stops_and_says_so(console: Console, browser: Browser) -> None:
    with watching(console, browser) as page:
        page.context.clear_cookies()
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Resume").click()
        state(page, "connection lost")
        expect(page.locator("[data-live-words]")).to_contain_text("signed out")
