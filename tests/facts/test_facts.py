"""What is known of a data directory, as a server asks for it: from a thread, for one question."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from milonga.facts.destinations import as_row, place_called
from milonga.facts.directory import DELIVERY_NAME
from milonga.facts.facts import Facts, open_facts
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        workspace.add_destination("totango", "web", "prod", {"serviceId": "SP-1-1"}, DestinationState.on, {})
    return data


def state(data: Path) -> str:
    with open_facts(data) as facts:
        return str(as_row(facts, place_called(facts, "prod"))["state"])


def test_a_server_asks_from_its_threads_and_nothing_is_remembered(data: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(state, [data] * 4)) == ["on"] * 4
        with Workspace.open(data) as workspace:
            workspace.change_state("prod", DestinationState.paused, "cli", "by hand", {})
        assert threads.submit(state, data).result() == "paused"


def test_what_cannot_be_asked_is_an_error_in_words_for_whoever_asks(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no workspace in"), open_facts(tmp_path / "other"):
        pass
    with open_facts(data) as facts, pytest.raises(UserError, match="There is no destination other"):
        place_called(facts, "other")
    connection = apsw.Connection(str(data / DELIVERY_NAME))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UserError, match="written by a newer Milonga"), open_facts(data):
        pass


def test_everything_is_closed_behind_an_error(data: Path) -> None:
    kept: list[Facts] = []

    def failing() -> None:
        with open_facts(data) as facts:
            kept.append(facts)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    with pytest.raises(apsw.ConnectionClosedError):
        kept[0].workspace.sources.all()
