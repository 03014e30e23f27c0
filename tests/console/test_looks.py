"""
Every page, in Chromium: light and dark, wide and narrow. Pictures go to build/looks/ for a person to look at; the test
says whether a page is whole (nothing failed in it, nothing is cut off at the side, nothing was kept from running), and
whether everybody can use it, in each of these: axe-core finds nothing.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from milonga.workspace.roles import Role
from tests.console.furnished import furnished
from tests.console.harness import Console
from tests.console.places import PAGES, STRANGERS
from tests.running import eventually

PICTURES = Path(__file__).parents[2] / "build" / "looks"
SIZES: dict[str, ViewportSize] = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 390, "height": 844}}

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
AXE = Path(__file__).parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"
HIDDEN = """[...document.querySelectorAll('.table')].filter(one => one.scrollWidth > one.clientWidth + 1)
  .map(one => one.getAttribute('aria-label'))"""  #: tables that are wider than their place
RULES = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'], resultTypes: ['violations'] }"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with furnished(tmp_path_factory.mktemp("looks"), busy=True) as running:
        yield running


@pytest.mark.parametrize("name", [*PAGES, *STRANGERS])
def test_a_page_is_whole_and_everybody_can_use_it(console: Console, browser: Browser, name: str) -> None:
    role, path = (Role.administrator, PAGES[name]) if name in PAGES else (None, STRANGERS[name])
    PICTURES.mkdir(parents=True, exist_ok=True)
    with console.visiting(browser, role, viewport=SIZES["wide"], locale="en-GB", timezone_id="Europe/Berlin") as page:
        answer = page.goto(console.url + path)
        assert answer is not None
        assert answer.status == 200
        settled(page)
        page.evaluate(AXE.read_text())
        for size, scheme in product(SIZES, SCHEMES):
            page.set_viewport_size(SIZES[size])
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=PICTURES / f"{name}-{scheme}-{size}.png", full_page=True)
            beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert beyond <= 0, f"{size}: {beyond} pixels are beyond the side of the page"
            if size == "narrow":
                hidden = page.evaluate(HIDDEN)
                assert not hidden, f"on a phone part of these is hidden at the side: {hidden}"
            found = troubles(page)
            assert not found, f"{size}, {scheme}:\n" + "\n".join(found)


def troubles(page: Page) -> list[str]:
    """What keeps somebody from using the page, and where."""
    return [
        f"{one['id']} ({one['impact']}): {', '.join(node['html'][:200] for node in one['nodes'][:3])}"
        for one in page.evaluate(f"axe.run(document, {RULES})")["violations"]
    ]


def settled(page: Page) -> None:
    """Charts are drawn, and what htmx fetches at once is there."""
    drawn = "!document.querySelector('.chart[data-state=loading]')"
    eventually(lambda: bool(page.evaluate(drawn)), "all charts are drawn")
    eventually(lambda: bool(page.evaluate("!document.querySelector('.htmx-request')")), "nothing is on its way")
