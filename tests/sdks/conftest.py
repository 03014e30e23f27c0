"""One Milonga and one pretend Totango for all SDKs; each test has an account of its own."""

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from msgspec import Struct

from milonga.collector.answers import LOG_FULL
from milonga.destinations.totango.fake import pretend
from tests.receiving import Receiving
from tests.running import Milonga
from tests.sdks.gate import Gate
from tests.sdks.programs import java_session, running
from tests.sdks.session import KEY
from tests.sdks.tls import Certificate, certificate


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


class Unhurried(Struct, frozen=True):
    """A session under way whose first request was refused."""

    account: str
    gate: Gate


@pytest.fixture(scope="package")
def java_in_trouble(milonga: Milonga) -> Iterator[Unhurried]:
    account = "java-in-trouble"
    with Gate(milonga.port) as gate:
        gate.instead.append(LOG_FULL)
        with running(*java_session(gate, account)):
            yield Unhurried(account, gate)


@pytest.fixture(scope="package", autouse=True)
def started_first(request: pytest.FixtureRequest) -> None:
    """If one of the tests is going to ask for it. What is missing for it is that test's trouble alone."""
    if any("java_in_trouble" in getattr(item, "fixturenames", ()) for item in request.session.items):
        with suppress(pytest.skip.Exception, pytest.fail.Exception):
            request.getfixturevalue("java_in_trouble")
