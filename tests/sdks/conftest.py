"""One Milonga and one pretend Totango for all SDKs; each test has an account of its own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from milonga.destinations.totango.fake import pretend
from tests.receiving import Receiving
from tests.running import Milonga
from tests.sdks.gate import Gate
from tests.sdks.tls import Certificate, certificate

KEY = "WK_TEST_abc123"
"""As in the captured requests."""


@pytest.fixture(scope="package")
def totango() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


@pytest.fixture(scope="package")
def milonga(tmp_path_factory: pytest.TempPathFactory, totango: Receiving) -> Iterator[Milonga]:
    with Milonga(tmp_path_factory.mktemp("sdks") / "data") as running:
        running.say("sources", "add", "apps", "--write-key", KEY)
        running.say(
            *("destinations", "add", "totango", "--source", "apps", "--set", "serviceId=SP-12345-01"),
            *("--set", f"endpoint={totango.url}/pixel.gif/"),
        )
        yield running.start()


@pytest.fixture(scope="package")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def gate(milonga: Milonga) -> Iterator[Gate]:
    """In front of Milonga, over plain http."""
    with Gate(milonga.port) as gate:
        yield gate


@pytest.fixture
def tls_gate(milonga: Milonga, cert: Certificate) -> Iterator[Gate]:
    """In front of Milonga, over https."""
    with Gate(milonga.port, cert.context()) as gate:
        yield gate


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    """An account that no other test names."""
    name: str = request.node.name
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@pytest.fixture(scope="package")
def cache() -> Path:
    """Where SDKs that Python's and Node's own set-up does not bring are kept between runs."""
    return Path(__file__).parent.parent.parent / ".venv" / "sdks"
