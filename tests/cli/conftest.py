"""The data directory of a server that has done its work."""

import asyncio
import time
from pathlib import Path

import pytest

from milonga.delivery.store import DeliveryStore
from milonga.outcomes.model import State
from milonga.outcomes.writer import OutcomeWriter
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.cli.filled import EVENTS, HUSH, fill_log, letter, outcome


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Of a server that was stopped: a secret, events in five segments, two files of outcomes, a dead letter."""
    data = tmp_path / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        workspace.add_destination(
            "totango", "web", "totango", {"serviceId": "SP-1", "sdrToken": HUSH}, DestinationState.on, {0: 0}
        )
    asyncio.run(fill_log(data))
    writer = OutcomeWriter(data / "outcomes", time.time, segment_rows=50)
    writer.write([outcome(n) for n in range(1, 51)])
    writer.write([outcome(n) for n in range(51, EVENTS)] + [outcome(EVENTS, State.dead, "http_400")])
    writer.close()
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        store.set_position(1, 0, EVENTS)
        store.add_dead(letter(EVENTS))
    store.close()
    return data
