import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.browser.collecting import KEY, Collector, Site, listening
from tests.running import eventually

REPO: Final = Path(__file__).parents[2]
BROWSER: Final = REPO / "browser"
CHROMIUM: Final = Path("/usr/bin/chromium")
FLAGS: Final = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # whatever a page tries, it goes nowhere else
]


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What browser/ builds, as its sources are now."""
    if not (BROWSER / "node_modules").exists():
        pytest.fail("Run `make browser` once: it installs what the library is built with.")
    folder = tmp_path_factory.mktemp("browser") / "assets"
    subprocess.run(["node", "build/build.js", str(folder)], cwd=BROWSER, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def npm_bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page's own script with the SDK in it, as a site's build makes it."""
    out = tmp_path_factory.mktemp("npm") / "npm.js"
    subprocess.run(
        [BROWSER / "node_modules/.bin/esbuild", Path(__file__).parent / "npm.js", "--bundle", f"--outfile={out}"],
        env={**os.environ, "NODE_PATH": str(BROWSER / "node_modules")},
        check=True,
        capture_output=True,
    )
    return out.read_text()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    # Of the package, since Playwright has an event loop in this thread as long as it lives.
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser:
        yield browser


class Visitor:
    """
    Somebody with a browser of his own: cookies, storage, tabs.

    may_ask  hosts beside collector and site
    hosts    all that his pages asked anything of
    errors   of scripts, uncaught, and what our plugin caught of its own
    options  of analytics.load; kept by pages opened later
    """

    def __init__(self, context: BrowserContext, collector: Collector, site: Site, snippet: str, bundle: str) -> None:
        self.context, self.collector, self.site = context, collector, site
        self.hosts: set[str] = set()
        self.may_ask: set[str] = set()
        self.errors: list[str] = []
        self.options: dict[str, Any] = {}
        self._snippet, self._bundle = snippet, bundle
        self._waiting: set[Request] = set()
        context.on("request", self._asks)
        context.on("requestfinished", self._has_answer)
        context.on("requestfailed", self._has_answer)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", self._says)

    def _asks(self, request: Request) -> None:
        self.hosts.add(request.url.split("/")[2])
        self._waiting.add(request)

    def _has_answer(self, request: Request) -> None:
        self._waiting.discard(request)

    def _says(self, message: ConsoleMessage) -> None:
        if "[milonga]" in message.text:
            self.errors.append(message.text)

    def opens(self, how: str, calls: str = "", path: str = "/", tab: Page | None = None, ready: bool = True) -> Page:
        """
        how    "snippet"; "npm"; "stock", the snippet with Segment's own build
        calls  script that the page runs before the SDK is there
        tab    to open it in; a new one if None
        ready  return when the SDK has started
        """
        self.site.pages["/npm.js"] = self._bundle
        self.collector.stock = how == "stock"
        self.site.pages[path.split("?")[0]] = (
            f"<!doctype html><title>T</title><body>{self._script(how)}<script>{calls}</script>"
        )
        tab = tab or self.context.new_page()
        tab.goto(self.site.url + path)
        if ready:
            tab.evaluate("new Promise(resolve => analytics.ready(resolve))")
        return tab

    def until(self, what: Callable[[], bool], says: str) -> None:
        """As `eventually`, for what the browser tells: it does so only while it is asked something."""

        def looked() -> bool:
            self.context.pages[-1].wait_for_timeout(20)
            return what()

        eventually(looked, says)

    def closes(self, tab: Page) -> None:
        """Once all that his pages asked has its answer: what is still on its way would be lost with the page."""
        self.until(lambda: not self._waiting, "every request has its answer")
        tab.close()

    def _script(self, how: str) -> str:
        if how == "npm":
            settings = {"writeKey": KEY, "cdnURL": self.collector.url, "options": self.options}
            return f'<script>settings = {json.dumps(settings)}</script><script src="/npm.js"></script>'
        snippet = self._snippet.replace("__MILONGA_HOST__", self.collector.host).replace("https://", "http://")
        loads = 'analytics.load("__WRITE_KEY__");\nanalytics.page();'
        assert loads in snippet
        options = f", {json.dumps(self.options)}" if self.options else ""
        snippet = snippet.replace(loads, f'analytics.load("__WRITE_KEY__"{options});')
        if how == "stock":  # over http it does not find its host by itself
            snippet = snippet.replace("analytics.load(", f'analytics._cdn="{self.collector.url}";analytics.load(')
        return f"<script>{snippet.replace('__WRITE_KEY__', KEY)}</script>"


@pytest.fixture
def collector(assets: Path) -> Iterator[Collector]:
    it = Collector(assets)
    with listening(it.answer) as it.host:
        yield it


@pytest.fixture
def site() -> Iterator[Site]:
    it = Site()
    with listening(it.answer) as it.host:
        yield it


@pytest.fixture
def visitor(chromium: Browser, collector: Collector, site: Site, assets: Path, npm_bundle: str) -> Iterator[Visitor]:
    with chromium.new_context() as context:
        context.set_default_timeout(60_000)
        it = Visitor(context, collector, site, (assets / "snippet.js").read_text().strip(), npm_bundle)
        yield it
    assert it.hosts <= {collector.host, site.host, *it.may_ask}  # in cloud mode no request leaves for any other host
    assert not it.errors
