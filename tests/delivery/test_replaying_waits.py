"""What a replay waits for, how much of it waits in turn, and what it does not take any more."""

import asyncio
from pathlib import Path

import pytest

from milonga.delivery import replaying
from milonga.delivery.limits import Limits
from milonga.outcomes.model import State
from milonga.privacy.regulation import Deletion, Doomed
from milonga.workspace.model import DestinationState
from tests.delivery.replays import done, live, replay
from tests.delivery.road import OK, Road, answer, states


def test_none_of_it_joins_while_the_receiver_is_down(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(40):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 40)
        road.answer = lambda n: answer(503)
        for n in range(100, 115):
            road.add(n, account=f"b{n}")
        await road.until(lambda: not road.work.breaker.is_closed)
        road.runner.replaying.begin(replay())
        await asyncio.sleep(600)
        assert not set(road.sent[40:]) & set(range(40))
        assert not road.work.replayed
        road.answer = lambda n: OK
        await done(road)
        assert sorted(n for n in road.sent[40:] if n < 40) == list(range(40))

    live(tmp_path, story, limits=Limits(blocked=3_600.0))


def test_where_nothing_else_waits_one_of_it_finds_out_whether_the_receiver_is_back(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        for n in range(20):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road) == [State.delivered] * 20)
        road.answer = lambda n: answer(503)
        for n in range(100, 115):
            road.add(n, account=f"b{n}")
        await road.until(lambda: not road.work.breaker.is_closed)
        road.change(DestinationState.off)
        road.change(DestinationState.on)
        await road.until(lambda: states(road) == [State.delivered] * 20 + [State.skipped] * 15)
        assert not road.work.breaker.is_closed, "nobody is left to find out"
        road.runner.replaying.begin(replay())
        await road.until(lambda: len(road.work.replayed) == 1)
        await asyncio.sleep(600)
        assert len(road.work.replayed) == 1, "the others do not join while it is down"
        road.answer = lambda n: OK
        await done(road)
        assert road.reader.replays.counts(1) == {("delivered", ""): 35}

    live(tmp_path, story)


def test_no_more_of_it_than_so_many_stand_in_lines_that_do_not_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "IN_LINES", 25)

    async def story(road: Road) -> None:
        for n in range(60):
            road.add(n, account="bad", user="ada" if n < 50 else f"u{n}")
        await road.until(lambda: states(road) == [State.delivered] * 60)
        road.answer = lambda n: answer(503) if n < 50 else OK
        road.runner.replaying.begin(replay())
        await road.until(lambda: len(road.work.replayed) == 25, seconds=600)
        await asyncio.sleep(60)
        assert len(road.work.replayed) == 25
        road.answer = lambda n: OK
        await road.until(lambda: road.reader.replays.counts(1) == {("delivered", ""): 60}, seconds=3_600)

    live(tmp_path, story)


def test_what_is_being_erased_is_not_copied_from_the_log_once_more(tmp_path: Path) -> None:
    deletions: list[Deletion] = []

    async def story(road: Road) -> None:
        for n in range(4):
            road.add(n, account=f"a{n}", user="ada" if n % 2 else "bob")
        await road.until(lambda: states(road) == [State.delivered] * 4)
        deletions.append(Deletion(1, None, frozenset(["ada"]), {0: 4}))
        road.runner.replaying.begin(replay())
        await done(road)
        assert road.sent[4:] == [0, 2]
        assert road.reader.replays.counts(1) == {("delivered", ""): 2, ("left", "user_deleted"): 2}

    live(tmp_path, story, doomed=lambda: Doomed(deletions))


def test_beside_a_detour_nothing_is_sent_twice(tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        road.answer = lambda n: answer(503) if n < 100 else OK
        for n in range(100):
            road.add(n, account="flood", user=f"u{n % 4}")
        for n in range(100, 110):
            road.add(n, account=f"a{n}")
        await road.until(lambda: states(road)[100:] == [State.delivered] * 10, seconds=600)
        await road.until(lambda: road.reader.parked_count(7) > 10 and not road.work.live, seconds=600)
        assert road.work.detours, "some of it stands unread in the log"
        road.runner.replaying.begin(replay())
        await done(road)
        assert road.reader.replays.counts(1) == {("delivered", ""): 10, ("left", "waiting"): 100}
        road.answer = lambda n: OK
        await road.until(lambda: states(road) == [State.delivered] * 110, seconds=7_200)
        assert sorted(road.delivered) == sorted([*range(110), *range(100, 110)]), "none twice, but what was replayed"

    live(tmp_path, story, limits=Limits(account=20, lane=5))
