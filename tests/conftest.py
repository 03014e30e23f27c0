import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

# Modules that tests share say as much as tests do of what they assert.
pytest.register_assert_rewrite(*(f"tests.{one.stem}" for one in Path(__file__).parent.iterdir()))

# Whoever runs the tests in the background has these ignored, and every process started here would inherit that.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)

# Servers side by side cannot all have the console's port: who wants one says so (tests/running.py).
os.environ["MILONGA_NO_CONSOLE"] = "1"


@pytest.fixture(autouse=True)
def logs_as_they_come() -> Iterator[None]:
    """A test that hushes the logs does so for itself alone."""
    yield
    structlog.reset_defaults()
