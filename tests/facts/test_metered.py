"""Counts over a time that is asked for: each step of the road has its own, in whole periods."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from milonga.delivery.backlog import Waited
from milonga.delivery.backlog_rows import KEPT
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.counters import ACCEPTED, DISCARDED, DUPLICATE, REFUSED, Count, open_totals, roll
from milonga.facts.facts import Facts, open_facts
from milonga.facts.metered import (
    AT_SOURCE,
    STEPS,
    Between,
    By,
    Step,
    backlog,
    backlog_since,
    counted,
    dataset,
    delivery,
    step_of,
    volume,
)
from milonga.outcomes import totals
from milonga.outcomes.latency import bucket_of
from milonga.outcomes.model import State
from milonga.outcomes.words import instant
from milonga.spec.discards import CODES
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace

MINUTE = 60_000
NOBODYS = 10**9  #: number of a segment that there is not
NOON = 29_000_160  #: a minute at which an hour begins
WHATS = {
    ACCEPTED: 100,
    DUPLICATE: 7,
    f"{DISCARDED}event_not_defined": 5,
    f"{DISCARDED}user_suppressed": 3,
    f"{REFUSED}rate_limited": 2,
}
ENDS = {
    (State.delivered, ""): 60,
    (State.skipped, "missing_group_id"): 20,
    (State.dead, "http_400"): 4,
    (State.expired, "too_old"): 1,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    In each of three minutes, of which the last begins another hour: source web twice, site once, and once a write key
    that is not known; destinations one (of web) twice, two (of site) once.
    """
    data = tmp_path_factory.mktemp("metered")
    with Workspace.open(data) as workspace:
        for source, name in (("web", "one"), ("site", "two")):
            workspace.sources.add(source)
            workspace.add_destination("totango", source, name, {"serviceId": "SP-1-1"}, DestinationState.on, {})
    (data / "log").mkdir()
    (data / "outcomes").mkdir()
    minutes = (NOON - 2, NOON - 1, NOON)
    counts = [
        Count(minute, source, what, n * times)
        for minute in minutes
        for source, times in ((1, 2), (2, 1), (0, 1))
        for what, n in WHATS.items()
    ]
    with closing(open_totals(data / "log")) as db:
        roll(db, NOBODYS, counts)
    ends = [
        (minute, number, int(state), code, n * times)
        for minute in minutes
        for number, times in ((1, 2), (2, 1))
        for (state, code), n in ENDS.items()
    ]
    took = [(minute, 1, bucket_of(ms), n) for minute in minutes for ms, n in ((20, 90), (900, 10))]
    totals.roll(data / "outcomes", NOBODYS, ends, took, now=NOON * 60)
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        store.backlog.put(1, [Waited(minute, n, 90 * n) for n, minute in enumerate(minutes, 5)])
        store.backlog.put(2, [Waited(NOON, 900, 90_000)])
    store.close()
    return data


@pytest.fixture
def facts(data: Path) -> Iterator[Facts]:
    with open_facts(data) as found:
        yield found


ALL = Between(NOON - 60, NOON + 60, 60)


def told(facts: Facts, step: Step, between: Between = ALL, by: tuple[By, ...] = (), **of: Any) -> list[dict[str, Any]]:
    found = counted(facts, step, between, by, **of)
    return [dataset(facts, between, key, periods) for key, periods in sorted(found.items())]


@pytest.mark.parametrize(
    ("step", "minutely"),
    [
        ("successfully-received", 400),
        ("failed-on-ingest", 20),
        ("filtered-at-source", 12),
        ("filtered-at-destination", 60),
        ("failed-delivery", 15),
        ("successful-delivery", 180),
    ],
)
def test_each_step_has_its_own_counts(step: Step, minutely: int, facts: Facts) -> None:
    (whole,) = told(facts, step)
    assert whole == {
        "source": None,
        "destination": None,
        "discardReason": None,
        "total": 3 * minutely,
        "series": [
            {"time": instant((NOON - 60) * MINUTE), "count": 2 * minutely},
            {"time": instant(NOON * MINUTE), "count": minutely},
        ],
    }
    for between, minutes in (
        (Between.around(NOON - 1, NOON, 60), 2),
        (Between.around(NOON - 1, NOON, 1), 1),
        (Between.around(NOON - 1, NOON + 1, 1), 2),
        (Between.around(NOON - 1, NOON + 1, 24 * 60), 3),
        (Between.around(NOON, NOON + 1, 24 * 60), 1),
    ):
        (some,) = told(facts, step, between)
        assert some["total"] == minutes * minutely == sum(one["count"] for one in some["series"])
    assert told(facts, step, Between.around(NOON + 1, NOON + 60, 1)) == []


def test_what_is_told_apart_is_told_apart(facts: Facts) -> None:
    ended = told(facts, "failed-delivery", by=("destination", "discardReason"))
    assert [(one["source"], one["destination"], one["discardReason"], one["total"]) for one in ended] == [
        (None, "one", "http_400", 24),
        (None, "one", "too_old", 6),
        (None, "two", "http_400", 12),
        (None, "two", "too_old", 3),
    ]
    arrived = told(facts, "filtered-at-source", by=("source", "discardReason"))
    assert [(one["source"], one["discardReason"], one["total"]) for one in arrived] == [
        (None, "user_suppressed", 9),
        ("web", "user_suppressed", 18),
        ("site", "user_suppressed", 9),
    ]
    assert [one["source"] for one in told(facts, "successful-delivery", by=("source",))] == ["web", "site"]


def test_of_one_source_or_destination_only_its_own_counts(facts: Facts) -> None:
    assert [one["total"] for one in told(facts, "successfully-received", sources={2})] == [300]
    assert [one["total"] for one in told(facts, "successful-delivery", sources={2})] == [180]
    assert [one["total"] for one in told(facts, "successful-delivery", destinations={1})] == [360]
    assert told(facts, "successful-delivery", sources={1}, destinations={2}) == []


def test_every_event_that_is_not_kept_failed_or_was_filtered_and_nothing_else_did() -> None:
    steps = {code: step_of(f"{DISCARDED}{code}") for code in CODES}
    assert {code for code, step in steps.items() if step == "filtered-at-source"} == AT_SOURCE
    assert set(steps.values()) == {"failed-on-ingest", "filtered-at-source"}
    assert [step_of(name) for name in (ACCEPTED, DUPLICATE, f"{REFUSED}rate_limited")] == [STEPS[0], None, None]


def test_the_volume_of_each_source_over_time(facts: Facts) -> None:
    nobodys, web, site = volume(facts, ALL)
    assert [one["source"] for one in (nobodys, web, site)] == [None, "web", "site"]
    assert {name: web[name] for name in ("accepted", "duplicates", "discarded", "refused")} == {
        "accepted": 600,
        "duplicates": 42,
        "discarded": 48,
        "refused": 12,
    }
    assert web["discardedByCode"] == {"event_not_defined": 30, "user_suppressed": 18}
    assert web["refusedByCode"] == {"rate_limited": 12}
    assert [(one["time"], one["accepted"]) for one in site["series"]] == [
        (instant((NOON - 60) * MINUTE), 200),
        (instant(NOON * MINUTE), 100),
    ]
    assert [one["source"] for one in volume(facts, ALL, {2})] == ["site"]


def test_how_a_destination_was_delivered_to(facts: Facts) -> None:
    one, two = (place for place in facts.places)
    found = delivery(facts, one, ALL)
    assert found["delivered"] == 360
    assert found["notDelivered"] == [
        {"state": "skipped", "code": "missing_group_id", "events": 120},
        {"state": "dead", "code": "http_400", "events": 24},
        {"state": "expired", "code": "too_old", "events": 6},
    ]
    assert 16 <= found["p50Ms"] <= 24
    assert 768 <= found["p99Ms"] <= 1024
    assert [(at["time"], at["delivered"], at["p99Ms"]) for at in found["series"]] == [
        (instant((NOON - 60) * MINUTE), 240, found["p99Ms"]),
        (instant(NOON * MINUTE), 120, found["p99Ms"]),
    ]
    assert delivery(facts, two, ALL)["p50Ms"] is None
    none = delivery(facts, one, Between(NOON + 1, NOON + 2, 1))
    assert none == {"delivered": 0, "notDelivered": [], "p50Ms": None, "p99Ms": None, "series": []}


def test_how_much_waited_for_one_destination_is_the_most_of_each_period(facts: Facts) -> None:
    one, two = (place for place in facts.places)
    assert backlog(facts, one, ALL) == {
        "waited": 7,
        "oldestMs": 630,
        "series": [
            {"time": instant((NOON - 60) * MINUTE), "waited": 6, "oldestMs": 540},
            {"time": instant(NOON * MINUTE), "waited": 7, "oldestMs": 630},
        ],
    }
    before = backlog(facts, one, Between(NOON - 2, NOON, 1))
    assert [(at["time"], at["waited"]) for at in before["series"]] == [
        (instant((NOON - 2) * MINUTE), 5),
        (instant((NOON - 1) * MINUTE), 6),
    ]
    assert backlog(facts, two, Between(NOON - 2, NOON, 1)) == {"waited": None, "oldestMs": None, "series": []}


@pytest.mark.parametrize(("length", "kept"), [(1, KEPT[1]), (60, KEPT[15]), (24 * 60, KEPT[15])])
def test_what_waited_is_known_as_long_as_its_rows_are_kept(length: int, kept: int) -> None:
    assert backlog_since(length, NOON * MINUTE + 59_000) == NOON - kept
