"""An account that floods takes a detour: everybody else's events are read past its own, and order holds."""

from pathlib import Path
from typing import Any

import pytest

from milonga.delivery.detours import MOST_JOINED, Blocked, Detour, Detours, account_of
from milonga.delivery.limits import Limits
from milonga.delivery.rows import DetourRow
from milonga.delivery.store import DeliveryStore
from milonga.destinations import registry
from milonga.eventlog.api import Damaged, Position
from milonga.outcomes.model import State
from milonga.outcomes.reader import OutcomeReader
from milonga.spec.read import read_stamped
from milonga.spec.stored import Stamped
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import LATENCY, OK, Road, answer, run

FEW = Limits(window=200, account=20, loaded=16)
EIGHT = DeliverySettings(concurrency=8)


def test_a_detour_begins_behind_the_event_that_was_one_too_many() -> None:
    detours = Detours(2)
    assert detours.begin(0, "hot", 10)
    assert detours.way_of(0, "hot", 10) is None
    way = detours.way_of(0, "hot", 11)
    assert way is not None
    assert detours.way_of(0, "other", 11) is None
    assert detours.way_of(1, "hot", 11) is None, "another partition"
    assert not detours.begin(0, "hot", 20), "it has one"
    way.upto = 30
    assert detours.way_of(0, "hot", 31) is None
    assert not detours.begin(0, "hot", 31), "not before that one has come to its end"
    detours.end(way)
    assert detours.begin(0, "hot", 31)


@pytest.mark.parametrize(("after", "overtakes"), [(19, False), (30, True)])
def test_after_a_crash_nothing_overtakes_what_a_detour_has_still_to_bring(after: int, overtakes: bool) -> None:
    detours = Detours(2)
    row = DetourRow(leader="hot", after=after, upto=30, begins={"hot": 10}, unread=1, counted=30)
    detours.add(Detour(0, row))
    assert (detours.way_of(0, "hot", 31) is None) == overtakes


def test_only_so_many_at_a_time() -> None:
    detours = Detours(2)
    assert [detours.begin(0, account, 1) for account in ("a", "b", "c")] == [True, True, False]


def test_an_account_that_shares_a_key_comes_along_from_that_event_on() -> None:
    detours = Detours(2)
    detours.begin(0, "hot", 10)
    way = detours.way_of(0, "hot", 20, ["hot", "hot_p"])
    assert way is not None
    assert detours.way_of(0, "hot_p", 19) is None
    assert detours.way_of(0, "hot_p", 21) is way
    assert detours.way_of(0, "guest", 30, ["guest", "hot"]) is way, "its event waits behind the flood's"
    assert detours.way_of(0, "guest", 31) is way, "so those behind it do, too"


def test_an_event_of_two_detours_waits_until_both_have_caught_up() -> None:
    detours = Detours(2)
    detours.begin(0, "a", 1)
    detours.begin(0, "b", 2)
    for _ in range(2):
        with pytest.raises(Blocked):
            detours.way_of(0, "a", 5, ["a", "b"])
    for detour in detours:
        detour.upto = 4
    assert detours.way_of(0, "a", 5, ["a", "b"]) is None


def test_nobody_joins_a_detour_that_has_come_to_its_end() -> None:
    detours = Detours(2)
    detours.begin(0, "a", 1)
    (way,) = detours
    way.upto = 10
    with pytest.raises(Blocked):
        detours.way_of(0, "guest", 5, ["guest", "a"])


def test_events_are_passed_by_only_where_every_one_of_their_account_comes_on_a_detour() -> None:
    detours = Detours(2)
    detours.begin(0, "a", 10)
    detours.begin(0, "b", 20)
    assert detours.passed_by(0, 9) == set()
    assert detours.passed_by(0, 10) == {"a"}
    assert detours.passed_by(0, 20) == {"a", "b"}
    assert detours.passed_by(1, 20) == set()
    assert detours.bring_all(0, ["a", "b"], 30)
    first, second = detours
    first.upto = 25  # it caught up while the events were being looked at
    assert not detours.bring_all(0, ["a", "b"], 30)
    assert detours.passed_by(0, 25) == {"b"}
    detours.hand_over(0, {"b": 5}, 30)
    assert (second.unread, second.counted) == (5, 30)
    detours.hand_over(0, {"b": 5}, 30)
    assert second.unread == 5, "after a restart they are met again"


def test_events_of_accounts_that_share_a_detour_are_counted_together() -> None:
    detours = Detours(2)
    detours.begin(0, "hot", 10)
    (way,) = detours
    assert detours.way_of(0, "hot", 11, ["hot", "hot_p"]) is way
    detours.hand_over(0, {"hot": 3, "hot_p": 4}, 20)
    assert way.unread == 7


def test_so_many_share_a_detour_and_no_more() -> None:
    detours = Detours(2)
    detours.begin(0, "a", 1)
    for n in range(1, MOST_JOINED):
        assert detours.way_of(0, "a", n + 1, ["a", f"p{n}"]) is not None
    with pytest.raises(Blocked):
        detours.way_of(0, "a", 200, ["a", "one more"])


def test_what_a_row_covers() -> None:
    row = DetourRow(leader="hot", after=15, upto=30, begins={"hot": 10, "p": 20}, unread=1, counted=30)
    assert [row.covers("hot", n) for n in (10, 15, 16, 30, 31)] == [False, False, True, True, False]
    assert [row.covers("p", n) for n in (20, 21)] == [False, True]
    assert not row.covers("other", 20)


@pytest.mark.parametrize("users", [1, 40])
def test_others_do_not_wait_for_a_flood_and_every_line_keeps_its_order(tmp_path: Path, users: int) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=FEW, delivery=EIGHT)
        for n in range(2_000):
            road.add(n, "hot", f"u{n % users}")
        for n in range(2_000, 2_100):
            road.add(n, f"account-{n}")
        await road.until(lambda: set(range(2_000, 2_100)) <= road.sent_at.keys(), seconds=5)
        assert max(road.sent_at[n] for n in range(2_000, 2_100)) < 100 / EIGHT.concurrency * 4 * LATENCY + 0.5
        assert road.reader.parked_count(7) <= 2 * FEW.lane
        assert (road.reader.behind(7, Position(0, 2_000), "hot") or 0) < 2_000
        await road.until(lambda: len(road.durable) == 2_100, seconds=400)
        for user in range(users):
            mine = [n for n in road.sent if n < 2_000 and n % users == user]
            assert mine == sorted(mine)
        await road.until(lambda: not road.work.detours, seconds=5)
        await road.until(lambda: road.reader.detours(7, 0) == [], seconds=5)
        await road.stop()

    run(tmp_path, live)


def test_a_detour_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=FEW, delivery=EIGHT)
        for n in range(1_000):
            road.add(n, "hot", f"u{n % 30}")
        for n in range(1_000, 1_100):
            road.add(n, f"account-{n}")
        await road.until(lambda: road.reader.position(7, 0) == 1_100 and len(road.delivered) > 200, seconds=60)
        assert road.work.detours
        health = road.reader.health(7)
        assert health is not None
        await road.stop(grace=0.0)
        before = len(road.durable)
        again = Road(folder, loop, limits=FEW, delivery=EIGHT, log=road.log)
        await again.until(lambda: before + len(again.durable) >= 1_100, seconds=100)
        both = [*road.delivered, *again.delivered]
        for user in range(30):
            mine = list(dict.fromkeys(n for n in both if n < 1_000 and n % 30 == user))
            assert mine == sorted(mine)
        assert len(set(both)) == 1_100
        assert len(both) - 1_100 <= EIGHT.concurrency, "only what was under way comes twice"
        await again.until(lambda: again.reader.detours(7, 0) == [], seconds=5)
        await again.stop()

    run(tmp_path, live)


def test_after_a_restart_what_came_behind_a_detour_waits_for_what_is_still_on_it(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        log = paper.ListLog()
        for n in range(200):
            log.add(paper.event(n, "hot", received_at=int(loop.clock() * 1000)))
        store = DeliveryStore(folder / "delivery.db")
        with store.transaction():  # it had caught up, and was stopped before all it had brought was sent
            row = DetourRow(leader="hot", after=10, upto=110, begins={"hot": 5}, unread=0, counted=110)
            store.set_detour(7, 0, row)
            store.set_position(7, 0, 110)
        store.close()
        road = Road(folder, loop, limits=FEW, delivery=EIGHT, log=log)
        await road.until(lambda: len(road.delivered) == 190)
        assert road.sent == list(range(10, 200))
        await road.until(lambda: road.reader.detours(7, 0) == [], seconds=5)
        await road.stop()

    run(tmp_path, live)


def test_an_account_on_a_detour_that_is_refused_ends_on_disk_and_its_other_users_go_on(tmp_path: Path) -> None:
    limits = Limits(window=200, account=20, loaded=16, blocked=2.0)

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503) if n % 2 else OK, limits=limits, delivery=EIGHT)
        for n in range(600):
            road.add(n, "hot", "refused" if n % 2 else f"u{n}")
        for n in range(601, 640, 2):
            road.add(n + 1, f"account-{n}")
        await road.until(lambda: len(road.delivered) == 320, seconds=200)
        assert not [n for n in road.delivered if n % 2]
        await road.until(lambda: road.reader.parked_count(7) == 300, seconds=100)
        await road.until(lambda: not road.work.detours, seconds=5)
        road.answer = lambda n: OK
        await road.until(lambda: len(road.durable) == 620, seconds=600)
        refused = [n for n in road.delivered if n % 2]
        assert refused == sorted(refused)
        await road.stop()

    run(tmp_path, live)


def test_a_damaged_event_of_a_flood_ends_as_one_and_delays_nobody(tmp_path: Path) -> None:
    damaged = {10, 50, 300, 301, 499}

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=FEW, delivery=EIGHT)
        for n in range(500):
            at = road.add(n, "hot", f"u{n % 30}")
            if n in damaged:
                road.log.events[0][-1] = Damaged(at, "checksum")
        await road.until(lambda: len(road.durable) == 500, seconds=100)
        found = [one.position.offset - 1 for one in road.durable.values() if one.code == "damaged_record"]
        assert set(found) == damaged
        assert sorted(road.delivered) == sorted(set(range(500)) - damaged)
        await road.until(lambda: not road.work.detours, seconds=5)
        totals = OutcomeReader(folder / "outcomes").totals()
        assert totals[7, State.dead, "damaged_record"] == len(damaged), "each is counted once"
        await road.stop()

    run(tmp_path, live)


def test_switching_off_ends_what_waits_on_a_detour(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=FEW, delivery=EIGHT)
        for n in range(500):
            road.add(n, "hot", f"u{n % 30}")
        await road.until(lambda: road.reader.position(7, 0) is not None and len(road.delivered) > 50)
        assert road.work.detours
        road.change(DestinationState.off)
        await road.until(lambda: len(road.durable) == 500, seconds=30)
        states = {outcome.state for outcome in road.durable.values()}
        assert states == {State.delivered, State.skipped}
        await road.until(lambda: road.reader.detours(7, 0) == [], seconds=5)
        await road.stop()

    run(tmp_path, live)


def test_what_waits_on_a_detour_is_counted_as_waiting(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=FEW, delivery=EIGHT)
        for n in range(2_000):
            road.add(n, "hot", f"u{n % 30}")
        await road.until(lambda: (road.reader.position(7, 0) or 0) > 0 and len(road.delivered) > 100)
        await road.until(lambda: (health := road.reader.health(7)) is not None and health.waiting > 1_000)
        health = road.reader.health(7)
        assert health is not None
        assert abs(health.waiting - (2_000 - len(road.delivered))) <= 300, "a second old"
        await road.stop()

    run(tmp_path, live)


@pytest.mark.parametrize("kind", sorted(registry.kinds()))
def test_events_of_types_that_do_not_cross_have_keys_of_their_own_account_alone(kind: str) -> None:
    destination = registry.kinds()[kind]
    for one in _some():
        if one.stamp.type not in destination.crossing:
            for key in destination.keys(read_stamped(one), destination.settings()):
                assert key[0] == account_of(one.stamp)


def _some() -> list[Stamped]:
    made: list[Stamped] = []
    for type_ in ("track", "page", "identify", "group", "screen", "alias"):
        for account in ("acme", None, " acme ", "\N{FLAMINGO}", "0"):
            for user in ("ada", None):
                said: dict[str, Any] = {"integrations": {"Totango": {"product": {"id": "p"}}}, "name": "n"}
                made.append(paper.event(1, account, user, type_=type_, **said))
    return made
