"""A disk whose reserve is used up: nothing is sent that could not be recorded, and all of it is once there is room."""

import asyncio
from pathlib import Path

from milonga.delivery.limits import Limits
from milonga.outcomes.model import State
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run, states


def test_nothing_is_sent_while_there_is_no_room_and_all_of_it_in_order_when_there_is(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        room = [True]
        road = Road(folder, loop, lambda n: answer(503) if loop.time() < 5 else OK, Limits(lane=3), has_room=room)
        for n in range(10):  # parked, for there are more than a lane takes
            road.add(n)
        await road.until(lambda: road.reader.parked_count(7) == 10)
        await asyncio.sleep(1)
        room[0] = False
        await asyncio.sleep(0.5)
        sent = len(road.sent)
        for n in range(10, 20):
            road.add(n, f"account-{n}")
        await asyncio.sleep(100)
        assert len(road.sent) == sent
        room[0] = True
        road.runner.go_on()
        await road.until(lambda: states(road) == [State.delivered] * 20, seconds=10)
        assert [n for n in road.delivered if n < 10] == list(range(10))
        await road.stop()

    run(tmp_path, live)
