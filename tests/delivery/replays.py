"""Replays that tests ask for, and waiting for them."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from milonga.delivery.replay_rows import Replay, ReplayState
from milonga.delivery.selection import Selection
from tests.delivery import paper
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import Road, run

EVER = Selection(source=paper.SOURCE, since=0, until=2**60)


def replay(number: int = 1, wanted: Selection = EVER, rate: float = 100.0, *, overwrite: bool = False) -> Replay:
    return Replay(id=number, destination=7, asked_at=1, by="test", wanted=wanted, rate=rate, overwrite=overwrite)


def state(road: Road, number: int = 1) -> ReplayState | None:
    found = road.reader.replays.one(number)
    return None if found is None else found.state


async def done(road: Road, number: int = 1) -> None:
    await road.until(lambda: state(road, number) is ReplayState.done, seconds=600)


def live(folder: Path, story: Callable[[Road], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def with_road(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, **options)
        await story(road)
        await road.stop()

    run(folder, with_road)
