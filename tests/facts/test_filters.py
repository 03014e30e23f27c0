"""What filters would make of the newest events: counted, with examples."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from milonga.eventlog.sqlite import SqliteLog
from milonga.facts.facts import Facts
from milonga.facts.filters import EVENTS, on_recent
from milonga.filters.rule import Filter
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationConfig, DestinationState
from milonga.workspace.store import Workspace
from tests.delivery import paper


def of_source(event: Stamped, source: int) -> Stamped:
    return replace(event, stamp=replace(event.stamp, source=source))


async def fill(data: Path) -> None:
    log = await SqliteLog.open(data / "log")
    await log.append([of_source(paper.event(n, type="track", event="Old"), 1) for n in range(1, 11)])
    await log.append([of_source(paper.event(n, type="track", event="Other"), 2) for n in range(11, 21)])
    calls: list[dict[str, Any]] = [
        *({"type": "track", "event": f"Test {n}", "properties": {"email": "a@b.example"}} for n in range(4)),
        *({"type": "track", "event": f"Paid {n}", "properties": {"email": "a@b.example"}} for n in range(5)),
        {"type": "track", "event": "Not for you", "integrations": {"Totango": False}},
    ]
    await log.append([of_source(paper.event(100 + n, **call), 1) for n, call in enumerate(calls)])
    await log.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("filters") / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        workspace.sources.add("other", "other")
        workspace.add_destination("totango", "web", "totango", {"serviceId": "SP-1-1"}, DestinationState.on, {0: 0})
    asyncio.run(fill(data))
    return data


@pytest.fixture
def facts(data: Path) -> Iterator[Facts]:
    with Workspace.open(data) as workspace:
        facts = Facts(data, workspace)
        yield facts
        facts.close()


def config(facts: Facts) -> DestinationConfig:
    return facts.workspace.destination("totango")


def test_events_of_its_source_are_counted_by_what_becomes_of_them(facts: Facts) -> None:
    filters = (
        Filter(name="no-tests", when='event.startsWith("Test")', do="drop"),
        Filter(name="no-mail", do="mask", fields=("properties.email",)),
        Filter(name="odd", when='properties.missing > 3 && event == "Paid 1"', do="drop"),
    )
    told = on_recent(facts, config(facts), filters, ())
    assert (told["events"], told["kept"] + told["dropped"]) == (20, 20)
    by_name = {one["name"]: one for one in told["filters"]}
    assert (by_name["no-tests"]["met"], by_name["no-tests"]["dropped"]) == (4, 4)
    assert (by_name["no-mail"]["met"], by_name["no-mail"]["changed"]) == (15, 5)
    assert by_name["odd"]["unsure"] == by_name["odd"]["dropped"] > 0
    assert by_name["odd"]["why"]
    codes = {one["code"]: one["events"] for one in told["codes"]}
    assert codes["filter:no-tests"] == 4
    assert codes["FILTERED_BY_INTEGRATIONS_OBJECT"] == 1
    assert [one["name"] for one in told["examples"]["filter:no-tests"]] == ["Test 3", "Test 2", "Test 1"]


def test_without_filters_all_go_on_but_what_is_not_meant(facts: Facts) -> None:
    told = on_recent(facts, config(facts), (), ())
    assert (told["events"], told["kept"], told["filters"]) == (20, 19, [])
    assert EVENTS > 20
