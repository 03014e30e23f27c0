"""
Every page, in Chromium: light and dark, wide and narrow. Pictures go to build/looks/ for a person to look at; the test
says whether a page is whole: nothing failed in it, nothing is cut off at the side, nothing was kept from running.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from milonga.workspace.roles import Role
from tests.chromium import chromium
from tests.console.furnished import furnished
from tests.console.harness import Console
from tests.console.places import PAGES, STRANGERS
from tests.running import eventually

PICTURES = Path(__file__).parents[2] / "build" / "looks"
SIZES = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with furnished(tmp_path_factory.mktemp("looks")) as running:
        yield running


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*PAGES, *STRANGERS])
def test_a_page_is_whole(console: Console, browser: Browser, name: str, scheme: str, size: str) -> None:
    options = {"viewport": SIZES[size], "color_scheme": scheme, "locale": "en-GB", "timezone_id": "Europe/Berlin"}
    role, path = (Role.administrator, PAGES[name]) if name in PAGES else (None, STRANGERS[name])
    with console.visiting(browser, role, **options) as page:
        answer = page.goto(console.url + path)
        assert answer is not None
        assert answer.status == 200
        settled(page)
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}-{scheme}-{size}.png", full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{wide} pixels are beyond the side of the page"


def settled(page: Page) -> None:
    """Charts are drawn, and what htmx fetches at once is there."""
    drawn = "[...document.querySelectorAll('.chart[data-chart]')].every(one => one.childElementCount > 0)"
    eventually(lambda: bool(page.evaluate(drawn)), "all charts are drawn")
    eventually(lambda: bool(page.evaluate("!document.querySelector('.htmx-request')")), "nothing is on its way")
