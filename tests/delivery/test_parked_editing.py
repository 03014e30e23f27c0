"""A parked event that somebody edits goes out instead of what arrived, from its place; nothing overtakes."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from milonga.delivery.editing import edited
from milonga.delivery.entry import Stage
from milonga.delivery.limits import Limits
from milonga.delivery.parked_editing import BUSY, DELETED, NOT_PARKED, OFF, ParkedEditWish
from milonga.delivery.rows import stamp_bytes
from milonga.delivery.store_reader import EDITED, PARKED
from milonga.eventlog.api import Position, Stored
from milonga.outcomes.model import State
from milonga.privacy.regulation import Deletion, Doomed
from milonga.workspace.model import DestinationState
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run, states

FEW = Limits(lane=2)
FIRST = Position(0, 1)
MENDED = 1_000  #: the receiver takes the first event of a line only with a number above this


async def stuck(folder: Path, loop: FakeTimeLoop, count: int = 4, limits: Limits = FEW, **headers: str) -> Road:
    """A road whose one line is parked; the first event of it is not taken, those behind it would be."""
    road = Road(folder, loop, lambda n: answer(503, **headers) if n == 0 else OK, limits)
    for n in range(count):
        road.add(n)
    async with asyncio.timeout(7_200):
        while road.reader.parked_count(7) < count or not waits(road):  # noqa: ASYNC110 - as Road.until, in longer steps
            await asyncio.sleep(1)
    return road


def waits(road: Road) -> bool:
    """On disk, for a minute or more."""
    progress = road.reader.progress(7, FIRST)
    return progress is not None and progress.due_at > road.now() + 60_000 and not road.work.line_up.everything()


def wish(road: Road, at: Position = FIRST, *, n: int = MENDED, parked_at: int | None = None, **said: Any) -> Any:
    """That its number is another one, and what else is said."""
    item = road.log.events[0][at.offset - 1]
    assert isinstance(item, Stored)
    body = msgspec.json.decode(item.event.body) | {"n": n} | said
    event = edited(item.event, msgspec.json.encode(body).decode())
    parked = road.reader.parked(7, at)
    return ParkedEditWish(
        destination=7,
        position=(at.partition, at.offset),
        parked_at=(0 if parked is None else parked.parked_at) if parked_at is None else parked_at,
        stamp=stamp_bytes(event).decode(),
        event=event.body.decode(),
        by="user:ada",
    )


def test_it_goes_out_at_once_from_its_place_and_the_line_goes_on_behind_it(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await stuck(folder, loop)
        assert road.runner.edit_parked(wish(road)) == ""
        await road.until(lambda: states(road) == [State.delivered] * 4, 5)
        assert road.delivered == [MENDED, 1, 2, 3], "in order"
        kept = road.reader.edited.of(7, FIRST)
        assert kept is not None
        assert (kept.by, msgspec.json.decode(kept.event.body)["n"]) == ("user:ada", MENDED)
        outcome = road.outcome(1)
        assert outcome is not None
        assert (outcome.attempts, outcome.replay) == (1, 0), "how often what arrived was refused is forgotten"
        assert road.log.events[0][0].event.body != kept.event.body  # type: ignore[union-attr]
        await road.stop()

    run(tmp_path, live)


def test_what_is_edited_is_there_after_a_restart_and_edited_once_more(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await stuck(folder, loop)
        road.answer = lambda n: answer(503) if n <= MENDED else OK
        assert road.runner.edit_parked(wish(road)) == ""
        await road.until(lambda: MENDED in road.sent, 5)
        assert {kept for _, kept in road.reader.copies_of(["ada"])} == {PARKED, EDITED}, "a deletion finds them"
        assert road.reader.oldest_parked(0) == 2, "the log may let what arrived go"
        await road.stop()
        again = Road(folder, loop, lambda n: answer(503) if n <= MENDED else OK, FEW, log=road.log)
        await again.until(lambda: again.sent == [MENDED] and not again.work.line_up.everything())
        assert again.reader.parked_count(7) == 4
        assert again.runner.edit_parked(wish(again, n=MENDED + 1)) == ""
        again.answer = lambda n: OK
        await again.until(lambda: states(again) == [State.delivered] * 4)
        assert again.delivered == [MENDED + 1, 1, 2, 3]
        await again.stop()

    run(tmp_path, live)


def test_a_wait_that_the_receiver_asked_for_holds(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await stuck(folder, loop, retry_after="600")
        assert road.runner.edit_parked(wish(road)) == ""
        await asyncio.sleep(5)
        assert MENDED not in road.sent
        await asyncio.sleep(600)
        await road.until(lambda: states(road) == [State.delivered] * 4, 10)
        await road.stop()

    run(tmp_path, live)


@pytest.mark.parametrize(
    "said",
    [{"userId": "bob"}, {"context": {"groupId": "umbrella"}}, {"context": {}}, {"type": "group", "groupId": "acme"}],
    ids=["user", "account", "none", "group"],
)
def test_what_would_wait_behind_another_key_is_refused(tmp_path: Path, said: dict[str, Any]) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = await stuck(folder, loop)
        before = road.reader.parked(7, FIRST)
        assert "where it does not stand" in road.runner.edit_parked(wish(road, **said))
        await asyncio.sleep(1)
        assert (road.reader.parked(7, FIRST), road.reader.edited.of(7, FIRST)) == (before, None)
        await road.stop()

    run(tmp_path, live)


def test_what_is_not_meant_or_cannot_be_any_more_is_refused(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        doomed = Doomed()
        road = Road(folder, loop, lambda n: None, FEW, doomed=lambda: doomed)
        for n in range(4):
            road.add(n)
        await road.until(lambda: road.reader.parked_count(7) == 4 and road.flying == 1)
        assert road.runner.edit_parked(wish(road)) == BUSY, "its request is out"
        assert road.runner.edit_parked(wish(road, parked_at=5)) == NOT_PARKED
        assert road.runner.edit_parked(wish(road, Position(0, 2))) == "", "one behind it may be edited as well"
        assert road.runner.edit_parked(wish(road, Position(0, 2))) == BUSY, "that is being written"
        await road.recorder.flush()
        doomed = Doomed([Deletion(regulation=1, users=frozenset({"ada"}), source=None, upto={0: 99})])
        assert road.runner.edit_parked(wish(road, Position(0, 3))) == DELETED
        doomed = Doomed()
        last = wish(road, Position(0, 4))
        road.change(DestinationState.off)
        assert road.runner.edit_parked(last) == OFF
        await road.stop(grace=0.1)

    run(tmp_path, live)


def test_one_that_has_come_into_memory_goes_back_and_comes_again_as_it_was_edited(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: None, FEW)
        for n in range(6):
            road.add(n)
        await road.until(lambda: road.reader.parked_count(7) == 6 and road.flying == 1)
        await road.stop(grace=0.1)
        again = Road(folder, loop, lambda n: OK, FEW, log=road.log)
        again.latency = 5.0
        await again.until(lambda: len(again.work.line_up.everything()) == 6, 60)
        third = next(one for one in again.work.line_up.everything() if one.position.offset == 3)
        assert third.stage is Stage.waiting
        assert again.runner.edit_parked(wish(again, Position(0, 3))) == ""
        await again.until(lambda: states(again) == [State.delivered] * 6, 60)
        assert again.delivered == [0, 1, MENDED, 3, 4, 5]
        await again.stop()

    run(tmp_path, live)
