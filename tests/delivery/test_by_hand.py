"""Parked keys, moved by hand."""

import asyncio
from pathlib import Path

import pytest

from milonga.delivery.by_hand import RELEASE, RETRY, SKIP, Done, Wish
from milonga.delivery.limits import Limits
from milonga.delivery.parked_list import ParkedKey, count_keys, parked_key, parked_keys
from milonga.outcomes.model import State
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run, states

FEW = Limits(lane=2)  #: so that a third event of a key has its line parked


async def do(road: Road, kind: str, *, whole: bool = False, lines: list[ParkedKey] | None = None) -> Done:
    """With all lines, as the CLI asks for it."""
    chosen = parked_keys(road.reader, 7, limit=10_000) if lines is None else lines
    wish = Wish(destination=7, lines=[(one.text, *one.first) for one in chosen], whole=whole, by="ada@host")
    done = Done()
    for _ in road.runner.carry_out(kind, wish, road.now(), done):
        await asyncio.sleep(0.01)
    await road.recorder.flush()
    return done


async def refused(folder: Path, loop: FakeTimeLoop, count: int = 5, **headers: str) -> Road:
    """A road whose one line is parked, and waits a minute or more for its next try."""
    road = Road(folder, loop, lambda n: answer(503, **headers), FEW)
    for n in range(count):
        road.add(n)
    async with asyncio.timeout(7_200):
        while True:
            found = parked_keys(road.reader, 7)
            if found and found[0].next_at is not None and found[0].next_at > road.now() + 60_000:
                return road
            await asyncio.sleep(1)


def test_the_list_says_what_waits_since_when_why_and_until_when(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await refused(folder, loop)
        (one,) = parked_keys(road.reader, 7)
        assert one.key == ("acme", "ada")
        assert (one.waiting, one.first.offset, one.code) == (5, 1, "http_503")
        assert one.attempts == road.sent.count(0)
        assert one.reason == "Paper answered 503 Service Unavailable."
        assert one.received_at <= one.parked_at <= road.now()
        assert parked_key(road.reader, 7, ("acme", "ada")) == one
        assert parked_key(road.reader, 7, ("acme",)) is None
        await road.stop()

    run(tmp_path, live)


def test_retry_tries_the_first_now_and_the_line_goes_on(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await refused(folder, loop)
        tried = road.sent.count(0)
        assert await do(road, RETRY) == Done(done=1)
        await road.until(lambda: road.sent.count(0) == tried + 1, seconds=1)
        await asyncio.sleep(0.2)
        (one,) = parked_keys(road.reader, 7)
        assert one.attempts == tried + 1, "how often it failed is not forgotten"
        road.answer = lambda n: OK
        await do(road, RETRY)
        await road.until(lambda: states(road) == [State.delivered] * 5, seconds=2)
        assert road.delivered == list(range(5))
        await road.stop()

    run(tmp_path, live)


@pytest.mark.parametrize(("kind", "waits"), [(RETRY, True), (RELEASE, False)])
def test_what_the_receiver_asked_for_holds_for_a_retry_and_not_for_a_release(
    tmp_path: Path, kind: str, waits: bool
) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await refused(folder, loop, retry_after="600")
        tried = road.sent.count(0)
        road.answer = lambda n: OK
        await do(road, kind)
        await asyncio.sleep(2)
        assert (road.sent.count(0) == tried) == waits
        await road.until(lambda: states(road) == [State.delivered] * 5, seconds=700)
        await road.stop()

    run(tmp_path, live)


def test_release_forgets_how_often_it_failed(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await refused(folder, loop)
        assert await do(road, RELEASE) == Done(done=1)
        await road.until(lambda: parked_keys(road.reader, 7)[0].attempts == 1, seconds=5)
        (one,) = parked_keys(road.reader, 7)
        assert one.next_at is not None
        assert one.next_at < road.now() + 2_000, "its waits are short again"
        await road.stop()

    run(tmp_path, live)


def test_skip_ends_the_first_says_by_whom_and_the_line_goes_on(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await refused(folder, loop)
        seen = parked_keys(road.reader, 7)
        road.answer = lambda n: OK
        assert await do(road, SKIP, lines=seen) == Done(done=1)
        assert await do(road, SKIP, lines=seen) == Done(), "another one is first by now, and was not meant"
        await road.until(lambda: states(road) == [State.skipped] + [State.delivered] * 4, seconds=5)
        outcome = road.outcome(1)
        assert outcome is not None
        assert outcome.code == "skipped_by_hand"
        last = road.outcomes.attempts(outcome.position, 7)[-1]
        assert (last.code, last.reason) == ("skipped_by_hand", "Skipped by hand, by ada@host.")
        assert road.reader.parked_count(7) == count_keys(road.reader, 7) == 0
        await road.stop()

    run(tmp_path, live)


def test_skip_of_the_whole_line_leaves_what_comes_later(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await refused(folder, loop, count=350)
        seen = parked_keys(road.reader, 7)
        asked_at = road.now()
        await asyncio.sleep(0.1)
        road.add(350)
        await road.until(lambda: road.reader.parked_count(7) == 351)
        wish = Wish(destination=7, lines=[(one.text, *one.first) for one in seen], whole=True)
        done = Done()
        for _ in road.runner.carry_out(SKIP, wish, asked_at, done):
            await asyncio.sleep(0.01)
        assert done == Done(done=350)
        road.answer = lambda n: OK
        await road.until(lambda: states(road) == [State.skipped] * 350 + [State.delivered], seconds=400)
        await road.stop()

    run(tmp_path, live)


def test_one_under_way_is_skipped_unless_it_is_delivered(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: OK if n == 1 else answer(503), FEW)
        road.latency = 10.0
        for n in range(3):
            road.add(n)
        await road.until(lambda: road.flying == 1 and road.reader.parked_count(7) == 3)
        assert await do(road, SKIP) == Done(under_way=1)
        await road.until(lambda: road.outcome(1) is not None, seconds=15)
        await road.until(lambda: road.flying == 1, seconds=15)
        assert await do(road, SKIP) == Done(under_way=1)
        await road.until(lambda: road.outcome(2) is not None, seconds=15)
        assert states(road)[:2] == [State.skipped, State.delivered]
        await road.stop()

    run(tmp_path, live)


def test_thousands_of_parked_keys_are_listed_by_the_page_and_move_in_order(tmp_path: Path) -> None:
    count = 1_500

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        down = [True]
        road = Road(folder, loop, lambda n: answer(503) if down[0] and n % 2 else OK, Limits(window=400, blocked=5.0))
        for turn in range(2):
            for n in range(2 * count):  # every other account is refused
                road.add(turn * 2 * count + n, f"account-{n:05}", "u")
        await road.until(lambda: road.reader.parked_count(7) == 2 * count, seconds=3_000)
        await road.until(lambda: road.reader.position(7, 0) == 4 * count, seconds=10)
        assert len(road.work.live) == 0
        assert len(road.work.line_up) <= road.work.limits.loaded
        assert count_keys(road.reader, 7) == count
        seen: list[ParkedKey] = []
        while page := parked_keys(road.reader, 7, after=seen[-1].text if seen else "", limit=700):
            seen += page
        assert [one.key for one in seen] == [(f"account-{n:05}", "u") for n in range(1, 2 * count, 2)]
        assert all(one.waiting == 2 for one in seen)
        assert [one.key[0] for one in parked_keys(road.reader, 7, account="account-00777")] == ["account-00777"]
        skipped = await do(road, SKIP, lines=seen[:500])
        assert skipped.done + skipped.under_way == 500
        down[0] = False
        await do(road, RELEASE)
        await road.until(lambda: road.reader.parked_count(7) == 0, seconds=400)
        assert skipped.done <= states(road).count(State.skipped) <= 500
        assert None not in states(road)
        last: dict[int, int] = {}
        for n in road.delivered:
            assert last.get(n % (2 * count), -1) < n, "in order"
            last[n % (2 * count)] = n
        await road.stop()

    run(tmp_path, live)
