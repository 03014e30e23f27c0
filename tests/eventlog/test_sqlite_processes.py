"""Readers that follow a log which another process writes."""

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from milonga.eventlog import reader
from milonga.eventlog.api import START
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.segment import list_segments, path_of
from milonga.eventlog.sqlite import SqliteLog

from .parts import Events, offsets

APPEND = """
import asyncio, sys
from pathlib import Path
from eventlog.parts import Clock, Events
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt

async def run():
    make = Events(Clock())
    log = await SqliteLog.open(Path(sys.argv[1]), seal_at=SealAt(events=50))
    print("ready", flush=True)
    for line in sys.stdin:
        await log.append(make.some(int(line)))
    await log.close()

asyncio.run(run())
"""


def start(program: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


def tell(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def test_a_reader_in_another_process_follows_across_segments_while_old_ones_are_dropped(folder: Path) -> None:
    async def run() -> None:
        with start(APPEND, str(folder)) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            log_reader = SqliteLogReader(folder, bell="delivery")
            seen: list[int] = []
            for round_ in range(1, 31):
                tell(writer, "17")
                while len(seen) < 17 * round_:
                    assert await log_reader.wait(0, len(seen), 20)
                    seen += offsets(await log_reader.read(0, len(seen), 7))
                for first in list_segments(folder)[:-1]:
                    if first < len(seen) - 200:
                        path_of(folder, first).unlink()
            assert seen == list(range(1, 511))
            assert await log_reader.begin(0) > 1
            slow = SqliteLogReader(folder)
            assert (await slow.read(0, START, 1))[0].position.offset == await slow.begin(0)
            await slow.close()
            await log_reader.close()
            writer.communicate()
            assert writer.returncode == 0
        after = SqliteLogReader(folder)
        assert await after.end(0) == 510
        await after.close()

    asyncio.run(run())


def test_the_bell_wakes_a_reader_in_another_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "POLL", 1000)

    async def run() -> None:
        with start(APPEND, str(folder)) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            log_reader = SqliteLogReader(folder, bell="delivery")
            for end in range(5):
                waiting = asyncio.ensure_future(log_reader.wait(0, end, 60))
                assert not (await asyncio.wait((waiting,), timeout=0.05))[0]
                tell(writer, "1")
                assert await asyncio.wait_for(waiting, 30)
            await log_reader.close()
            writer.communicate()

    asyncio.run(run())


def test_a_reader_that_is_there_before_the_log_finds_it(folder: Path, make: Events) -> None:
    async def run() -> None:
        log_reader = SqliteLogReader(folder, bell="delivery")
        assert await log_reader.end(0) == START
        assert await log_reader.begin(0) == 1
        assert await log_reader.read(0, START, 10) == []
        waiting = asyncio.ensure_future(log_reader.wait(0, START, 60))
        await asyncio.sleep(0)
        log = await SqliteLog.open(folder)
        await log.append(make.some(1))
        assert await asyncio.wait_for(waiting, 30)
        assert offsets(await log_reader.read(0, START, 10)) == [1]
        await log_reader.close()
        await log.close()

    asyncio.run(run())
