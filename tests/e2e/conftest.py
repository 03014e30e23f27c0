from collections.abc import Iterator
from pathlib import Path

import pytest

from milonga.destinations.totango.fake import pretend
from tests.receiving import Receiving
from tests.running import Milonga

KEY = "k-test"


@pytest.fixture
def totango() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


@pytest.fixture
def milonga(tmp_path: Path, totango: Receiving) -> Iterator[Milonga]:
    """Running, with one source and the pretend Totango."""
    with Milonga(tmp_path / "data") as running:
        running.say("sources", "add", "web", "--write-key", KEY)
        running.say(
            *("destinations", "add", "totango", "--source", "web", "--set", "serviceId=SP-12345-01"),
            *("--set", f"endpoint={totango.url}/pixel.gif/"),
        )
        yield running.start()
