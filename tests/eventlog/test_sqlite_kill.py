"""A process that is killed at any moment has kept what it acknowledged, once, and the log has no holes."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from milonga.eventlog.counters import ACCEPTED
from milonga.eventlog.lookup import EventLookup
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt

from .parts import Clock, event_of, offsets, read_all

STEPS = [
    "before-begin",
    "after-insert",
    "after-commit",
    "before-answer",
    "segment-created",
    "segment-named",
    "sealed",
    "rolled",
    "indexed",
]

SENDER = """
import asyncio, os, signal, sys
from pathlib import Path
from eventlog.parts import Clock, Events
from milonga.eventlog.api import Discard
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt

folder, step, times, known = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
left = times

def on_step(name):
    global left
    if name == step:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

async def run():
    make = Events(Clock())
    log = await SqliteLog.open(folder, seal_at=SealAt(events=40), on_step=on_step)
    print("ready", flush=True)

    async def caller(number):
        batch = 0
        while True:
            batch += 1
            ids = [f"{known}-{number}-{batch}-{one}" for one in range(3)]
            await log.append([make.one(one) for one in ids])
            os.write(1, "".join(f"{one}\\n" for one in ids).encode())

    async def refuse():  # what is discarded beside events shares their transaction
        while True:
            await log.discard([Discard(source=1, at=0, code="event_not_defined", reason="No", excerpt=b"{}")])

    await asyncio.gather(refuse(), *(caller(number) for number in range(4)))

asyncio.run(run())
"""


def run_and_kill(folder: Path, round_: str, step: str, times: int, after: float | None) -> list[str]:
    """Ids the process acknowledged before it was killed: at a step, or so many seconds after it was ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, str(folder), step, str(times), round_],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    with process:
        assert process.stdout is not None
        if after is not None:
            assert process.stdout.readline() == "ready\n"
            time.sleep(after)  # a random moment of a running load, not a hope
            process.send_signal(signal.SIGKILL)
        # the last line may be cut off by the kill; a whole line was acknowledged
        lines = process.stdout.read().splitlines(keepends=True)
    assert process.returncode == -signal.SIGKILL, lines[-3:]
    return [line.strip() for line in lines if line.endswith("\n") and line != "ready\n"]


def check(folder: Path, acknowledged: list[str]) -> int:
    """How many events there are, after all of it was seen to be right."""

    async def run() -> int:
        log = await SqliteLog.open(folder, clock=Clock(), seal_at=SealAt(events=40))
        found = await read_all(log)
        ids = [event_of(one).stamp.message_id for one in found]
        assert offsets(found) == list(range(1, len(found) + 1))
        assert len(set(ids)) == len(ids)
        assert set(acknowledged) <= set(ids)
        for name in {one.rsplit("-", 1)[0] for one in ids}:
            # appends are whole
            assert [one for one in ids if one.startswith(f"{name}-")] == [f"{name}-{part}" for part in range(3)]
        await log.close()
        counted = sum(count.n for count in EventLookup(folder).counts(0, 2**40) if count.name == ACCEPTED)
        assert counted == len(ids)
        return len(ids)

    return asyncio.run(run())


@pytest.mark.parametrize("step", STEPS)
def test_nothing_acknowledged_is_lost_when_it_is_killed_at_a_step(tmp_path: Path, step: str) -> None:
    folder = tmp_path / "log"
    acknowledged = run_and_kill(folder, "first", step, 2, None)
    acknowledged += run_and_kill(folder, "second", step, 1, None)
    check(folder, acknowledged)


def test_nothing_acknowledged_is_lost_when_it_is_killed_at_random_moments(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    dice = random.Random(20261122)
    acknowledged: list[str] = []
    for round_ in range(6):
        acknowledged += run_and_kill(folder, f"round{round_}", "none", 0, dice.uniform(0.0, 0.3))
    assert check(folder, acknowledged) >= len(acknowledged) > 0
