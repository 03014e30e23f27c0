"""The events that wait behind parked keys: line after line, each event once, page by page, as files."""

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from milonga.api import paging
from milonga.api.performing import perform, reading
from milonga.api.reading import read_query
from milonga.api.route import Caller
from milonga.api.table import find
from milonga.delivery.parked_events import LineMark, parked_events
from milonga.delivery.rows import Parked, Progress
from milonga.delivery.store import DeliveryStore
from milonga.destinations.contract import Key
from milonga.eventlog.api import Position
from milonga.eventlog.sqlite import SqliteLog
from milonga.facts.exporting import PARKED_COLUMNS, export_parked
from milonga.facts.facts import Facts, Place, open_facts
from milonga.spec.stored import Stamped
from milonga.workspace.model import DestinationState
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace
from tests.delivery import paper

JAN_2024 = 1_704_067_200_000  #: unix milliseconds
ADA, ACME, BOB, QUOTED = ("acme", "ada"), ("acme",), ("acme", "bob"), ('a"c,me', "=a;da")
LINES: dict[int, tuple[Key, ...]] = {1: (ADA,), 2: (ACME, ADA), 3: (BOB,), 4: (ADA,), 5: (QUOTED,), 99: (BOB,)}
"""Offset of an event -> what it waits behind; the last one has left the log. 4 was parked before 2."""
ORDER = (1, 4, 2, 3, 5, 99)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("parked") / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        workspace.add_destination("totango", "web", "prod", {"serviceId": "SP-1-1"}, DestinationState.on, {})
        workspace.add_destination("totango", "web", "other", {"serviceId": "SP-1-1"}, DestinationState.on, {})

    async def fill() -> None:
        log = await SqliteLog.open(data / "log")
        await log.append([paper.event(n, user="ada") for n in range(1, 7)])
        await log.close()

    asyncio.run(fill())
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        for place, offset in enumerate(ORDER):
            store.park(1, parked(offset, place))
        store.park(2, parked(6, 0, keys=(ADA,)))
        store.set_progress(
            1,
            Position(0, 1),
            Progress(attempts=3, next_at=JAN_2024 + 60_000, code="http_503", reason="Busy.", failing_since=1),
        )
    store.close()
    return data


def parked(offset: int, place: int, keys: tuple[Key, ...] | None = None) -> Parked:
    """The third one brings other bytes along than the log has."""
    own = paper.event(3, user="ada")
    return Parked(
        position=Position(0, offset),
        parked_at=JAN_2024 + place,
        received_at=JAN_2024,
        keys=LINES[offset] if keys is None else keys,
        resent=offset == 3,
        event=Stamped(own.stamp, b'{"own": 3}') if offset == 3 else None,
    )


@pytest.fixture
def facts(data: Path) -> Iterator[Facts]:
    with open_facts(data) as found:
        yield found


@pytest.fixture
def place(facts: Facts) -> Place:
    return facts.places[0]


def offsets(facts: Facts, *, account: str | None = None, key: Key | None = None, at_once: int = 100) -> list[int]:
    assert facts.delivery is not None
    found, mark = list[int](), None
    for _ in range(50):
        page = parked_events(facts.delivery, 1, account=account, key=key, beyond=mark, limit=at_once)
        assert len(page.events) <= at_once
        found += [one.parked.position.offset for one in page.events]
        mark = page.next
        if mark is None:
            return found
    raise AssertionError("the pages have no end")


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 100])
def test_each_event_is_found_once_and_each_line_keeps_its_order(facts: Facts, at_once: int) -> None:
    assert offsets(facts, at_once=at_once) == [5, 1, 4, 3, 99, 2], "in the order of the keys' texts"
    assert offsets(facts, account="acme", at_once=at_once) == [1, 4, 3, 99, 2]
    assert offsets(facts, key=ADA, at_once=at_once) == [1, 4, 2], "all of its line, as it will go out"
    assert offsets(facts, key=ACME, at_once=at_once) == [2]
    assert offsets(facts, key=QUOTED, at_once=at_once) == offsets(facts, account='a"c,me', at_once=at_once) == [5]
    assert offsets(facts, account="ac", at_once=at_once) == offsets(facts, key=("ada",), at_once=at_once) == []


def test_a_page_goes_on_behind_a_place_that_is_gone(facts: Facts) -> None:
    assert facts.delivery is not None
    page = parked_events(facts.delivery, 1, beyond=LineMark('["acme","ada"]', 10**6), limit=1)
    assert [one.parked.position.offset for one in page.events] == [3]


def test_they_are_files_in_the_shape_of_dead_letters(facts: Facts, place: Place) -> None:
    rows = [json.loads(one) for one in b"".join(export_parked(facts, place, account="acme")).splitlines()]
    first, own, gone = rows[0], rows[2], rows[3]
    assert first["event"]["n"] == 1
    assert (first["key"], first["attempts"], first["code"], first["reason"]) == (list(ADA), 3, "http_503", "Busy.")
    assert (first["nextTry"], first["messageId"], first["user"]) == ("2024-01-01T00:01:00.000Z", "m1", "ada")
    assert (own["event"], own["attempts"], own["nextTry"]) == ({"own": 3}, 0, None)
    assert (gone["position"]["offset"], gone["event"], gone["type"], gone["messageId"]) == (99, None, None, None)
    text = b"".join(export_parked(facts, place, key=QUOTED, format_="csv")).decode()
    (row,) = csv.DictReader(io.StringIO(text))
    assert tuple(row) == PARKED_COLUMNS
    assert (row["key"], json.loads(row["event"])["n"]) == ('["a\\"c,me","=a\\u003bda"]', 5)
    assert b"".join(export_parked(facts, place, account="nobody")) == b""


def test_of_large_ones_the_api_tells_few_on_a_page(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    route = find("GET", ["parked-events"]).route

    def page(cursor: str) -> dict[str, Any]:
        query = read_query(f"destination=prod&events=true&cursor={cursor}", route.query)
        with reading(data) as directory:
            return perform(route, directory, Caller("cli", Role.viewer), {}, query, None)

    whole = page("")["data"]
    monkeypatch.setattr(paging, "EVENTS", 1)
    found, cursor = list[Any](), ""
    for _ in whole:
        answer = page(cursor)
        assert len(answer["data"]) == 1
        found, cursor = found + answer["data"], answer["pagination"]["next"]
    assert found == whole
    assert not cursor
