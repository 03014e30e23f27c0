"""SDKs in real Chromium: a page of one script, opened."""

import functools
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

from tests.running import PATIENCE
from tests.sdks.gate import Gate
from tests.sdks.programs import bundle, need
from tests.sdks.session import EVENTS, KEY

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--ignore-certificate-errors"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
]


@contextmanager
def open_page(script: str, folder: Path, gate: Gate, account: str) -> Iterator[None]:
    """
    In a browser without a past, on another origin than the gate's.

    script  in tests/node/browser
    folder  empty; the page and the browser's profile go there
    """
    chromium = need("chromium", "browsers' SDKs")
    site = folder / "site"
    bundle(f"browser/{script}.js", site / "page.js", "--define:global=window")
    (site / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>x</title><script src="page.js"></script>'
    )
    with serving(site) as origin:
        asked = urlencode({"url": gate.url, "key": KEY, "account": account, "events": EVENTS})
        browser = subprocess.Popen(
            [chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"{origin}/index.html?{asked}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            browser.terminate()
            browser.wait(PATIENCE)
            shutil.rmtree(folder / "profile", ignore_errors=True)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The origin at which its files are."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(PATIENCE)
