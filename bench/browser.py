"""The library in a real Chromium: from the script tag to the first event's arrival, beside Segment's own build."""

import gzip
import subprocess
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Error, sync_playwright

from bench.children import Child
from bench.pages import serve
from bench.report import Found, Row, row
from bench.run import Run
from tests.chromium import ARGUMENTS, PROGRAM

BROWSER: Final = Path(__file__).parents[1] / "browser"
STOCK: Final = BROWSER / "node_modules/@segment/analytics-next/dist/umd/standalone.js"
DELAYS: Final = {"on this machine": 0.0, "answers 50 ms later": 0.05}
PATHS: Final = ("ours", "stock")
PAIRS: Final = 8  #: loads of both builds in a round
SECONDS: Final = 13.0  #: for a round, however busy the machine: then there are fewer pairs
MORE: Final = 1.05  #: target: at most so many times what Segment's own build takes
LIMIT: Final = "Segment's own build, which asks for its settings first"


def browser(run: Run) -> Found:
    """Sizes, and times of pages that a visitor opens for the first time."""
    if not STOCK.exists():
        raise RuntimeError("Segment's own build is not there. Run `make browser` once: it installs it.")
    if not Path(PROGRAM).exists():
        raise RuntimeError(f"There is no Chromium at {PROGRAM}. MILONGA_CHROMIUM names another.")
    assets = run.folder / "browser"
    built = subprocess.run(["node", "build/build.js", str(assets)], cwd=BROWSER, capture_output=True, check=False)
    if built.returncode:
        raise RuntimeError(f"The library was not built: {built.stderr.decode(errors='replace').strip()[-2000:]}")
    snippet = (assets / "snippet.js").read_text().strip()
    sizes = _sizes(assets)
    try:
        with (
            Child(serve, run.cores.all, assets, STOCK, snippet) as server,
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS) as chromium,
        ):
            times, pairs = _times(run.rounds, chromium, server)
            version = chromium.version
    except Error as error:  # of Chromium, or of what drives it
        raise RuntimeError(str(error)) from error
    return Found(
        [*times, *sizes],
        [
            f"Chromium {version}, headless; {pairs} loads of each build, in turns; the ratio is the pairs' median.",
            "Each load is a new visitor, with nothing cached. Both builds have the same page, snippet and server.",
            "From where the snippet begins until the page() in it has arrived. Stock's settings name no plugin.",
            "Sizes: gzip -9, before write key and settings are filled in.",
        ],
    )


def _sizes(assets: Path) -> list[Row]:
    ours, plugin, stock = (
        float(len(gzip.compress(path.read_bytes(), 9)))
        for path in (assets / "analytics.min.js", assets / "milonga.js", STOCK)
    )
    return [
        row(
            "analytics.min.js, gzipped",
            [ours],
            "bytes",
            limit=[stock],
            limit_is=f"Segment's {STOCK.name}",
            at_most=MORE,
            of="ratio",
        ),
        row("milonga.js, gzipped", [plugin], "bytes"),
    ]


def _times(rounds: int, chromium: Browser, server: Child) -> tuple[list[Row], int]:
    """Rows, and how many pairs of loads there was time for."""
    for path in PATHS * 2:  # warms up Chromium
        _load(path, 0.0, chromium, server)
    took: dict[tuple[str, str], list[float]] = {(name, path): [] for name in DELAYS for path in PATHS}
    began, done = time.monotonic(), 0
    while done < rounds * PAIRS and time.monotonic() - began < rounds * SECONDS:
        for name, delay in DELAYS.items():
            for path in PATHS if done % 2 else reversed(PATHS):
                took[name, path].append(_load(path, delay, chromium, server))
        done += 1
    rows = []
    for name in DELAYS:
        ours, stock = took[name, "ours"], took[name, "stock"]
        what = f"script tag to first event, {name}"
        rows.append(row(what, ours, "ms", limit=stock, limit_is=LIMIT, at_most=MORE, of="ratio"))
        rows.append(row("  the quickest", [min(ours)], "ms", limit=[min(stock)]))
    return rows, done


def _load(path: str, delay: float, chromium: Browser, server: Child) -> float:
    """Milliseconds, of a visitor with nothing cached."""
    server.ask(delay)
    with chromium.new_context() as visitor:
        page = visitor.new_page()
        page.goto(f"http://127.0.0.1:{server.hello}/{path}", wait_until="commit")
        came: float = server.ask("first")
        if not came:
            raise RuntimeError(f"The page with {path} has sent no event")
        began: float = page.evaluate("began")
    return came * 1000 - began
