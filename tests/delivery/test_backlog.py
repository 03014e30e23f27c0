"""How much waited: looked at once a second, kept by minutes for a day and by quarters of an hour for two weeks."""

import asyncio
from contextlib import closing
from pathlib import Path

from milonga.delivery.backlog import MINUTE, WRITE_AGAIN, Backlog, Waited
from milonga.delivery.backlog_rows import KEPT, QUARTER
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.workspace.model import DestinationState
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, run

NOON = 28_333_333 * MINUTE


def test_the_highest_of_a_minute_is_told_at_once_and_then_every_ten_seconds() -> None:
    backlog = Backlog()
    assert backlog.look(NOON, 3, NOON - 500) == [Waited(NOON // MINUTE, 3, 500)]
    assert backlog.look(NOON + 1_000, 9, NOON - 500) == []
    assert backlog.look(NOON + 2_000, 0, None) == []
    assert backlog.look(NOON + WRITE_AGAIN, 1, NOON + 9_000) == [Waited(NOON // MINUTE, 9, 1_500)]
    assert backlog.look(NOON + 2 * WRITE_AGAIN, 2, NOON + WRITE_AGAIN + 9_500) == [], "nothing is higher"


def test_that_something_waits_is_told_at_once() -> None:
    backlog = Backlog()
    assert backlog.look(NOON, 0, None) == [Waited(NOON // MINUTE, 0, 0)]
    assert backlog.look(NOON + 1_000, 4, NOON) == [Waited(NOON // MINUTE, 4, 1_000)]
    assert backlog.look(NOON + 2_000, 5, NOON) == []


def test_what_was_not_told_of_a_minute_is_told_with_the_next() -> None:
    backlog = Backlog()
    backlog.look(NOON, 1, NOON)
    backlog.look(NOON + 1_000, 7, NOON)
    told = backlog.look(NOON + MINUTE, 0, None)
    assert told == [Waited(NOON // MINUTE, 7, 1_000), Waited(NOON // MINUTE + 1, 0, 0)]


def test_a_clock_that_goes_back_makes_no_age_below_nothing() -> None:
    backlog = Backlog()
    assert backlog.look(NOON, 1, NOON + 5_000) == [Waited(NOON // MINUTE, 1, 0)]
    assert backlog.look(NOON - MINUTE, 1, NOON) == [Waited(NOON // MINUTE - 1, 1, 0)]


def test_each_period_keeps_its_highest_and_goes_when_its_time_is_over(tmp_path: Path) -> None:
    store = DeliveryStore(tmp_path / "delivery.db")
    first = NOON // MINUTE // QUARTER * QUARTER
    with store.transaction():
        store.backlog.put(1, [Waited(first, 5, 90), Waited(first + 1, 8, 10)])
        store.backlog.put(1, [Waited(first, 4, 100)])
        store.backlog.put(2, [Waited(first, 1, 1)])
    with closing(DeliveryReader(tmp_path / "delivery.db")) as reader:
        assert reader.backlog.periods(first, 1) == {1: {first: (5, 100), first + 1: (8, 10)}, 2: {first: (1, 1)}}
        assert reader.backlog.periods(first, 15)[1] == {first // 15: (8, 100)}
        assert reader.backlog.periods(first, 180)[1] == {first // 180: (8, 100)}
        later = first + KEPT[1] + QUARTER
        with store.transaction():
            store.backlog.put(1, [Waited(later, 2, 3)])
        assert reader.backlog.periods(0, 1)[1] == {later: (2, 3)}
        assert set(reader.backlog.periods(0, 15)[1]) == {first // 15, later // 15}
        with store.transaction():
            store.backlog.put(1, [Waited(first + KEPT[QUARTER] + QUARTER, 0, 0)])
            store.forget(2)
        assert list(reader.backlog.periods(0, 15)) == [1]
        assert first // 15 not in reader.backlog.periods(0, 15)[1]
    store.close()


def test_a_file_of_an_earlier_version_holds_none(tmp_path: Path) -> None:
    store = DeliveryStore(tmp_path / "delivery.db")
    store.transaction().execute("DROP TABLE backlog")
    store.close()
    with closing(DeliveryReader(tmp_path / "delivery.db")) as reader:
        assert reader.backlog.periods(0, 1) == {}


def test_while_a_destination_is_paused_what_waits_and_its_age_grow_from_minute_to_minute(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: OK)
        road.change(DestinationState.paused)
        began = road.now()
        for n in range(3):
            road.add(n)
        await asyncio.sleep(180)
        found = road.reader.backlog.periods(0, 1)[7]
        told = [found[minute] for minute in sorted(found)]
        assert [waiting for waiting, _ in told[1:]] == [3] * (len(told) - 1)
        ages = [age for _, age in told]
        assert ages == sorted(set(ages))
        assert 180_000 - 2 * WRITE_AGAIN <= ages[-1] <= road.now() - began
        road.change(DestinationState.on)
        await road.until(lambda: len(road.delivered) == 3)
        await asyncio.sleep(130)
        found = road.reader.backlog.periods(0, 1)[7]
        assert found[max(found)] == (0, 0)
        await road.stop()

    run(tmp_path, live)
