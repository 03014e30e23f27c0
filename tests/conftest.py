from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logs_as_they_come() -> Iterator[None]:
    """A test that hushes the logs does so for itself alone."""
    yield
    structlog.reset_defaults()
