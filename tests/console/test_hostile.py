"""Events are hostile input: whatever they hold, nothing of it runs in any page, and no page asks any other host."""

import html
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Dialog, Page

from milonga.destinations.totango.fake import pretend
from milonga.outcomes.reader import OutcomeReader
from milonga.workspace.model import DestinationState
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.console.corpus import ATTACKS, MARK, events
from tests.console.furnished import NOTHING
from tests.console.harness import Console, console_of
from tests.console.places import PAGES
from tests.receiving import Receiving
from tests.running import Client, eventually

KEY = "k-hostile"
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => window.violations.push(
  `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile} ${event.sample}`));
"""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with Receiving(pretend) as totango, console_of(tmp_path_factory.mktemp("hostile")) as running:
        totango.behave(status=400, match={"sdr_a": ATTACKS[1]})
        address = {"endpoint": f"{totango.url}/pixel.gif/", "serviceId": "SP-1-01"}
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", KEY)
            workspace.sources.add("named", "k-named")
            workspace.add_destination("totango", "web", "totango", address, DestinationState.on, NOTHING)
            workspace.add_destination("webhook", "web", "hook", {}, DestinationState.off, NOTHING)
        attack(running.data)
        with Client(running.milonga.port, KEY) as client:
            for place in range(0, len(events()), 30):
                client.send(events()[place : place + 30])
        reader = OutcomeReader(running.data / "outcomes")
        eventually(lambda: sum(reader.totals().values()) >= 3 * len(ATTACKS), "events have come to their end")
        yield running


def attack(data: Path) -> None:
    """What no form takes, because somebody else may have written to the file."""
    with closing(sqlite3.connect(data / "workspace.db")) as db, db:
        db.execute("UPDATE source SET name = ? WHERE name = 'named'", (ATTACKS[0],))
        db.execute("UPDATE destination SET name = ? WHERE name = 'hook'", (ATTACKS[2],))
        db.execute("UPDATE state_change SET reason = ?", (ATTACKS[1],))


def addresses() -> dict[str, str]:
    asked = "".join(ATTACKS[:4])
    return {
        **PAGES,
        "events of an attack": f"/events?name={quote(ATTACKS[1])}",
        "events of a user": f"/events?user={quote(ATTACKS[0] + '-user')}",
        "events, all fields": f"/events?name={quote(asked)}&user={quote(asked)}&account={quote(asked)}",
        "account": f"/account?id={quote(ATTACKS[1])}",
        "account that is none": f"/account?id={quote(asked)}",
        "accounts": f"/accounts?q={quote(ATTACKS[0])}",
        "source": f"/sources/{quote(ATTACKS[0], safe='')}",
        "destination": f"/destinations/{quote(ATTACKS[2], safe='')}",
        "unknown range": f"/?range={quote(ATTACKS[0])}",
        "event": "/events/0-3",
    }


@pytest.mark.parametrize("name", addresses())
def test_nothing_of_it_runs(console: Console, browser: Browser, name: str) -> None:
    asked: list[str] = []
    dialogs: list[str] = []
    with console.visiting(browser, Role.administrator) as page:
        page.add_init_script(WATCH)
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", answering(dialogs))
        page.goto(console.url + addresses()[name])
        every_part(page)
        assert page.evaluate(f"window.{MARK}") is None
        assert page.evaluate("window.violations") == []
        assert page.url.startswith(console.url)
    assert dialogs == []
    assert [url for url in asked if not url.startswith((console.url, "data:"))] == []


def test_what_a_batch_says_for_all_its_events_is_told_of_each(console: Console) -> None:
    shared = {"context": {"groupId": "acme", "library": {"name": ATTACKS[0]}}, "integrations": {"All": False}}
    with Client(console.milonga.port, KEY) as client:
        client.send([{"type": "track", "userId": "ada", "event": "Shared", "messageId": "m-shared"}], **shared)
    (shown,) = console.milonga.ask("events", "show", "m-shared")
    assert shown["batch"] == shared
    assert "context" not in shown["event"]
    (story,) = console.milonga.ask("explain", "m-shared")
    assert story["batch"] == shared
    assert 'its batch says for all its events: integrations {"All":false}' in console.milonga.say("explain", "m-shared")
    page = console.get(f"/events/0-{shown['position']['offset']}").text
    assert "Its batch says for all its events" in page
    assert ATTACKS[0] not in page
    assert html.escape(ATTACKS[0]) in page
    assert "Its batch says" not in console.get("/events/0-3").text


def test_nothing_of_it_runs_in_rows_that_come_by_themselves_or_beside_them(console: Console, browser: Browser) -> None:
    with Workspace.open(console.data) as workspace:
        key = workspace.sources.add("watched").write_keys[0]
    asked: list[str] = []
    dialogs: list[str] = []
    with console.visiting(browser, Role.administrator) as page:
        page.add_init_script(WATCH)
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", answering(dialogs))
        page.goto(f"{console.url}/sources/watched/live")
        rows = page.locator("[data-live-rows] tr")
        with Client(console.milonga.port, key) as client:
            client.send(events()[:30])
        eventually(lambda: rows.count() >= 20, "rows come by themselves")
        for place in range(0, 20, 4):
            with page.expect_response("**/live/0-*"):
                page.locator("[data-live-rows] tr[data-place]").nth(place).click()
            every_part(page)
        assert page.evaluate(f"window.{MARK}") is None
        assert page.evaluate("window.violations") == []
    assert dialogs == []
    assert [url for url in asked if not url.startswith((console.url, "data:"))] == []


def answering(dialogs: list[str]) -> Callable[[Dialog], None]:
    def answer(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    return answer


def every_part(page: Page) -> None:
    """What is folded is opened, and everything is pointed at once."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    page.evaluate(
        "document.querySelectorAll('main *').forEach((one) => {"
        " for (const name of ['mouseover', 'focus', 'pointerenter']) one.dispatchEvent(new Event(name)) })"
    )
    eventually(lambda: bool(page.evaluate("!document.querySelector('.htmx-request')")), "nothing is on its way")
