"""From nothing to a repaired destination, in one real browser: the pages as a new engineer goes through them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from milonga.destinations.totango.fake import pretend
from milonga.workspace.store import Workspace
from tests.console.harness import Console, console_of
from tests.receiving import Receiving
from tests.running import Client, eventually

PASSWORD = "seven tango dancers"


@contextmanager
def site(snippet: str) -> Iterator[str]:
    """A web site of one page, with the snippet as it was copied, and two buttons."""
    text = f"""<!doctype html><html><head><title>Shop</title>{snippet}</head><body>
    <button id="in">Log in</button><button id="buy">Buy</button><script>
    document.getElementById('in').onclick = () => {{
      analytics.identify('ada', {{ email: 'ada@acme.example' }}); analytics.group('acme', {{ name: 'Acme' }}) }}
    document.getElementById('buy').onclick = () => analytics.track('Bought', {{ category: 'Shop' }})
    </script></body></html>"""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def test_from_the_first_start_to_a_repaired_destination(tmp_path: Path, browser: Browser) -> None:
    with (
        Receiving(pretend) as totango,
        console_of(tmp_path) as console,
        console.visiting(browser, None) as page,
    ):
        begins(console, page)
        snippet = creates_a_source(console, page)
        with site(snippet) as address, shopping(browser, address) as shop:
            sees_events_arrive(console, page, shop)
            switches_totango_on(console, page, totango, shop)
        sees_it_break_and_repairs_it(console, page, totango)
        undoes_a_setting(console, page)


def begins(console: Console, page: Page) -> None:
    page.goto(console.milonga.first_link)
    page.get_by_label("Name").fill("ada")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_text("There is no source yet")).to_be_visible()


def creates_a_source(console: Console, page: Page) -> str:
    page.get_by_role("link", name="Create a source").first.click()
    page.get_by_label("Name").fill("web")
    page.get_by_role("button", name="Create it").click()
    page.get_by_role("navigation").get_by_role("link", name="Overview").first.click()
    expect(page.get_by_text("No event has arrived yet")).to_be_visible()
    expect(page.get_by_role("heading", name="What arrived")).to_have_count(0)  # there is nothing to draw
    page.get_by_role("link", name="Set it up").click()
    expect(page.get_by_text("Listening for the first event")).to_be_visible()
    return page.locator("#snippet").inner_text()


@contextmanager
def shopping(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context()
    try:
        shop = context.new_page()
        with shop.expect_response(lambda answer: answer.url.endswith("/v1/p")) as answered:
            shop.goto(address)
        assert answered.value.status == 200
        yield shop
    finally:
        context.close()


def sees_events_arrive(console: Console, page: Page, shop: Page) -> None:
    expect(page.get_by_text("Listening for the first event")).to_be_hidden()  # the page said so by itself
    page.goto(f"{console.url}/sources/web/live")
    expect(page.locator("[data-live-state]")).to_have_text("waiting")
    with shop.expect_response(lambda answer: answer.url.endswith("/v1/g")):
        shop.click("#in")
    with shop.expect_response(lambda answer: answer.url.endswith("/v1/t")):
        shop.click("#buy")
    row = page.locator("[data-live-rows] tr", has_text="Bought")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("acme")
    row.first.click()
    expect(page.locator("#chosen")).to_contain_text("Bought")


def switches_totango_on(console: Console, page: Page, totango: Receiving, shop: Page) -> None:
    page.goto(f"{console.url}/destinations/new/totango")
    page.get_by_label("Name", exact=True).fill("totango")
    page.get_by_label("Service ID").fill("SP-12345-01")
    page.get_by_text("Settings that few need").click()
    page.get_by_label("Endpoint").fill(f"{totango.url}/pixel.gif/")
    page.get_by_role("button", name="Add Totango").click()
    expect(page.get_by_role("heading", name="totango", exact=True)).to_be_visible()

    def bought() -> bool:
        """Adding begins at the log's end: what is clicked after that comes."""
        with shop.expect_response(lambda answer: answer.url.endswith("/v1/t")):
            shop.click("#buy")
        return any(seen.params.get("sdr_a") == "Bought" for seen in totango.requests())

    eventually(bought, "a click on the site is at Totango")


def sees_it_break_and_repairs_it(console: Console, page: Page, totango: Receiving) -> None:
    totango.behave(status=403)
    with Workspace.open(console.data) as workspace:
        key = workspace.sources.named("web").write_keys[0]
    with Client(console.milonga.port, key) as client:
        client.send(
            [
                {"type": "track", "userId": f"u-{n}", "event": "While broken", "context": {"groupId": f"a-{n}"}}
                for n in range(8)
            ]
        )
    page.goto(f"{console.url}/destinations/totango")
    expect(page.get_by_text("Paused by Milonga")).to_be_visible()  # the page looks again by itself
    page.goto(console.url)
    expect(page.get_by_text("totango is paused")).to_be_visible()
    totango.behave_well()
    page.goto(f"{console.url}/destinations/totango")
    page.locator("#to-on").click()

    def drained() -> bool:
        arrived = {seen.params["sdr_o"] for seen in totango.accepted() if seen.params.get("sdr_a") == "While broken"}
        return len(arrived) == 8

    eventually(drained, "all that waited is at Totango")
    page.goto(f"{console.url}/destinations/totango")
    expect(page.get_by_text("Paused by Milonga")).to_be_hidden()


def undoes_a_setting(console: Console, page: Page) -> None:
    page.goto(f"{console.url}/destinations/totango/settings")
    page.get_by_label("Default Module").fill("Nowhere")
    page.get_by_role("button", name="Save").click()
    page.goto(f"{console.url}/destinations/totango/history")
    expect(page.locator("ins", has_text="Nowhere")).to_be_visible()
    page.get_by_role("button", name="Undo").first.click()
    page.goto(f"{console.url}/destinations/totango/settings")
    expect(page.get_by_label("Default Module")).to_have_value("Application")
    with Workspace.open(console.data) as workspace:
        assert [one.by for one in workspace.history("totango")][-1] == "user:ada"
