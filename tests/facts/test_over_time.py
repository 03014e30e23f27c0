"""Counts over time, as charts draw them: an hour by minutes, a day by quarters, two weeks by three hours."""

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from milonga.delivery.backlog import Waited
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.counters import ACCEPTED, DISCARDED, DUPLICATE, REFUSED, Count, open_totals, roll
from milonga.facts import over_time
from milonga.facts.facts import Facts, open_facts
from milonga.outcomes import totals
from milonga.outcomes.latency import bucket_of
from milonga.outcomes.model import State
from milonga.workspace.commands import milliseconds
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace

MINUTE = 60_000
NOBODYS = 10**9  #: number of a segment that there is not
AGO = {"1h": 5, "24h": 300, "14d": 3_000}
"""Minutes ago, of what is within this span and beyond the next shorter one."""


@pytest.fixture(scope="module")
def now() -> int:
    return milliseconds()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, now: int) -> Path:
    """Source 1 and destination 1 have one of each kind within each span, the others ten; nobody's are refused."""
    data = tmp_path_factory.mktemp("over-time")
    with Workspace.open(data) as workspace:
        for number in (1, 2):
            workspace.sources.add(f"web-{number}")
            settings = {"serviceId": "SP-1-1"}
            workspace.add_destination("totango", "web-1", f"totango-{number}", settings, DestinationState.on, {})
    (data / "log").mkdir()
    (data / "outcomes").mkdir()
    minutes = [now // MINUTE - ago for ago in AGO.values()]
    whats = (ACCEPTED, f"{DISCARDED}no_event", DUPLICATE, f"{REFUSED}rate_limited")
    with closing(open_totals(data / "log")) as db:
        roll(db, NOBODYS, [Count(at, one, what, n) for at in minutes for one, n in ((1, 1), (2, 10)) for what in whats])
    states = (State.delivered, State.skipped, State.dead, State.expired)
    ends = [(at, one, int(state), "c", n) for at in minutes for one, n in ((1, 1), (2, 10)) for state in states]
    took = [(at, one, bucket_of(ms), 10) for at in minutes for one, ms in ((1, 20), (2, 900))]
    totals.roll(data / "outcomes", NOBODYS, ends, took, now=now / 1000)
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        for number, waiting, age in ((1, 3, 500), (2, 40, 90)):
            store.backlog.put(number, [Waited(at, waiting, age) for at in reversed(minutes)])
    store.close()
    return data


@pytest.fixture
def facts(data: Path) -> Iterator[Facts]:
    with open_facts(data) as found:
        yield found


def sums(chart: dict[str, Any]) -> dict[str, int]:
    return {one["name"]: sum(one["values"]) for one in chart["series"]}


@pytest.mark.parametrize(("name", "parts"), [("1h", 1), ("24h", 2), ("14d", 3)])
def test_each_span_has_all_that_is_within_it(name: str, parts: int, facts: Facts, now: int) -> None:
    span = over_time.SPANS[name]
    arrived = over_time.arrivals(facts, span, now)
    assert sums(arrived) == {"accepted": 11 * parts, "discarded": 11 * parts, "duplicates": 11 * parts}
    ended = over_time.endings(facts, span, now)
    assert sums(ended) == {"delivered": 11 * parts, "skipped": 11 * parts, "dead": 11 * parts, "expired": 11 * parts}
    for chart in (arrived, ended):
        times = chart["times"]
        assert {after - before for before, after in pairwise(times)} == {span.length * 60}
        assert len(times) == span.minutes // span.length
        assert times[-1] * 1000 <= now < (times[-1] + span.length * 60) * 1000
        assert {len(one["values"]) for one in chart["series"]} == {len(times)}


def test_of_one_source_or_destination_only_its_own_counts(facts: Facts, now: int) -> None:
    span = over_time.SPANS["14d"]
    assert sums(over_time.arrivals(facts, span, now, frozenset({1})))["accepted"] == 3
    assert sums(over_time.endings(facts, span, now, frozenset({2})))["dead"] == 30


def test_latency_is_of_what_was_delivered_and_nothing_where_nothing_was(facts: Facts, now: int) -> None:
    span = over_time.SPANS["1h"]
    half, most = (
        [value for value in one["values"] if value is not None] for one in over_time.latency(facts, span, now)["series"]
    )
    assert half == [pytest.approx(20, rel=0.2)]
    assert most == [pytest.approx(900, rel=0.2)]
    alone = over_time.latency(facts, span, now, frozenset({1}))["series"][1]["values"]
    assert [value for value in alone if value is not None] == [pytest.approx(20, rel=0.2)]


@pytest.mark.parametrize(("name", "parts"), [("1h", 1), ("24h", 2), ("14d", 3)])
def test_what_waited_is_the_most_of_each_destination_and_the_age_of_the_oldest_of_all(
    name: str, parts: int, facts: Facts, now: int
) -> None:
    span = over_time.SPANS[name]
    waiting, oldest = (
        [value for value in one["values"] if value is not None] for one in over_time.backlog(facts, span, now)["series"]
    )
    assert (waiting, oldest) == ([43] * parts, [500] * parts)
    alone = over_time.backlog(facts, span, now, frozenset({2}))["series"]
    assert [sum(value or 0 for value in one["values"]) for one in alone] == [40 * parts, 90 * parts]
    assert None in alone[0]["values"], "where nobody looked nothing is known"


def test_a_span_that_there_is_not_is_the_shortest() -> None:
    assert over_time.span_named("9y") is over_time.SPANS["1h"]
