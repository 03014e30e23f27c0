"""
Hundreds of small worlds in which everything goes wrong at once, every third with batches. The seed stands in the
test's name:
`pytest tests/delivery/test_simulation.py -k "[17]"` shows that world again;
`python -m tests.delivery.test_simulation 1000 2000` tries those seeds and prints the ones that fail.
"""

import asyncio
import logging
import sys
import tempfile
import traceback
from pathlib import Path

import pytest
import structlog

from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.happenings import things_happen
from tests.delivery.judging import judge
from tests.delivery.world import World


async def live(folder: Path, loop: FakeTimeLoop, seed: int) -> World:
    world = World(folder, loop, seed, events=150)
    async with asyncio.TaskGroup() as group:
        group.create_task(world.events_come())
        group.create_task(things_happen(world))
    await world.calm_down()
    judge(world)
    await world.stop()
    return world


def simulate(folder: Path, seed: int) -> World:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    loop = FakeTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(live(folder, loop, seed))


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_nothing_is_lost_and_order_is_kept(tmp_path: Path, seed: int) -> None:
    world = simulate(tmp_path, seed)
    if seed < 30:  # at times there is never enough for a batch
        assert (world.receiver.most_at_once > 1) == (world.kind.batch is not None)


if __name__ == "__main__":
    failed = 0
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            try:
                simulate(Path(folder), seed)
            except Exception:
                failed += 1
                print(f"--- seed {seed}")
                traceback.print_exc(limit=-3)
    print(f"{failed} failed")
