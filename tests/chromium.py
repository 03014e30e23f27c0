"""A real Chromium, headless, that can reach this machine alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

PROGRAM = os.environ.get("MILONGA_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",  # CI runs as root
    *("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """
    For one module of tests: as long as it is there, nothing else in this thread may run an event loop. What a page asks
    of any other host is seen among its requests, and fails.
    """
    if not Path(PROGRAM).exists():
        pytest.skip(f"there is no Chromium at {PROGRAM}; MILONGA_CHROMIUM names another")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
