"""One server for the tests of a module, on a data directory of a server that has done its work."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from milonga.delivery.store import DeliveryStore
from milonga.outcomes.model import State
from milonga.outcomes.writer import OutcomeWriter
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.api.serving import Served, served
from tests.cli.filled import EVENTS, HUSH, fill_log, letter, outcome


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Of a server that was stopped: events in five segments, outcomes, two dead letters, a removed destination."""
    data = tmp_path_factory.mktemp("api") / "data"
    fill(data)
    with served(data) as found:
        yield found


def fill(data: Path) -> None:
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        workspace.add_destination(
            "totango", "web", "totango", {"serviceId": "SP-1", "sdrToken": HUSH}, DestinationState.on, {0: 0}
        )
        workspace.add_destination("webhook", "web", "gone", {"url": "https://x.example/"}, DestinationState.on, {0: 0})
        workspace.remove_destination("gone", {0: 5})
    asyncio.run(fill_log(data))
    writer = OutcomeWriter(data / "outcomes", time.time, segment_rows=50)
    writer.write([outcome(n) for n in range(1, EVENTS - 1)])
    writer.write([outcome(n, State.dead, "http_400") for n in (EVENTS - 1, EVENTS)])
    writer.close()
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        store.set_position(1, 0, EVENTS)
        store.add_dead(letter(EVENTS - 1))
        store.add_dead(letter(EVENTS))
    store.close()
