"""One Milonga and one pretend Totango for all SDKs; each test has an account of its own."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec import Struct

from milonga.collector.answers import LOG_FULL
from milonga.destinations.totango.fake import pretend
from tests.receiving import Receiving
from tests.running import PATIENCE, Milonga
from tests.sdks.gate import Gate
from tests.sdks.programs import TRUST_PASSWORD, bundle, java_session, need, running
from tests.sdks.session import KEY
from tests.sdks.tls import Certificate, certificate


@pytest.fixture(scope="package")
def totango() -> Iterator[Receiving]:
    with Receiving(pretend) as receiving:
        yield receiving


def add_source(milonga: Milonga, totango: Receiving, name: str = "apps", key: str = KEY) -> None:
    """And Totango for its events."""
    milonga.say("sources", "add", name, "--write-key", key)
    milonga.say(
        *("destinations", "add", "totango", "--source", name, "--name", name, "--set", "serviceId=SP-12345-01"),
        *("--set", f"endpoint={totango.url}/pixel.gif/"),
    )


@pytest.fixture(scope="package")
def milonga(tmp_path_factory: pytest.TempPathFactory, totango: Receiving) -> Iterator[Milonga]:
    with Milonga(tmp_path_factory.mktemp("sdks") / "data") as running:
        add_source(running, totango)
        yield running.start()


@pytest.fixture(scope="package")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="package")
def trust(cert: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Java trust store that holds our certificate."""
    store = tmp_path_factory.mktemp("trust") / "trust.p12"
    subprocess.run(
        [
            *(need("keytool", "Segment's Kotlin SDK"), "-importcert", "-noprompt", "-alias", "milonga"),
            *("-file", cert.chain, "-keystore", store, "-storepass", TRUST_PASSWORD),
        ],
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    return store


@pytest.fixture(scope="package")
def react_native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of React Native's SDK in one script, with a stand-in for what a phone has and Node has not."""
    script, stand_in = tmp_path_factory.mktemp("react-native") / "session.mjs", "./react-native/stand-in.js"
    bundle(
        "react-native/session.js",
        script,
        *("--platform=node", "--format=esm", f"--alias:react-native={stand_in}", f"--alias:react={stand_in}"),
        *("--external:react-native-get-random-values", "--external:@react-native-async-storage/async-storage"),
    )
    return script


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
