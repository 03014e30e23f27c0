"""Everybody can use every page: axe-core finds nothing serious, light or dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from milonga.workspace.roles import Role
from tests.chromium import chromium
from tests.console.furnished import furnished
from tests.console.harness import Console
from tests.console.places import PAGES, STRANGERS
from tests.console.test_looks import settled

AXE = Path(__file__).parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"
RULES = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with furnished(tmp_path_factory.mktemp("axe")) as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*PAGES, *STRANGERS])
def test_axe_finds_nothing_serious(console: Console, browser: Browser, name: str, scheme: str) -> None:
    role, path = (Role.administrator, PAGES[name]) if name in PAGES else (None, STRANGERS[name])
    with console.visiting(browser, role, color_scheme=scheme) as page:
        page.goto(console.url + path)
        settled(page)
        page.evaluate(AXE.read_text())
        found = page.evaluate(f"axe.run(document, {RULES})")
        told = [
            (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"][:3]])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical", "moderate")
        ]
        assert not told, "\n".join(map(str, told))
