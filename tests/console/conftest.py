"""One console for all tests that are about things of their own in it, and keep their names apart."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from milonga.destinations.totango.fake import pretend
from milonga.workspace.store import Workspace
from tests.chromium import chromium
from tests.console.harness import PATIENCE, Console, console_of
from tests.receiving import Receiving

KEY = "k-console"


@pytest.fixture(scope="package")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """With two sources, `web` and `app`, and nothing else."""
    with console_of(tmp_path_factory.mktemp("console")) as running:
        with Workspace.open(running.data) as workspace:
            workspace.sources.add("web", KEY)
            workspace.sources.add("app")
        yield running


@pytest.fixture(scope="package")
def totango() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


@pytest.fixture
def untouched() -> Iterator[Receiving]:
    """One that nothing is sent to."""
    with Receiving(pretend) as receiving:
        yield receiving
        assert receiving.received() == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of one module: while it runs, its thread has an event loop, which tests that run their own must not meet."""
    expect.set_options(timeout=PATIENCE)
    with chromium() as found:
        yield found
