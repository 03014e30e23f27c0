"""A full disk refuses politely, damages nothing, and is usable again as soon as there is room."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from milonga.eventlog.api import START, LogFull, Position
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from tests.small_disk import free, small_disk

from .parts import Clock, Events, offsets, poll, read_all

BODY = b'{"x":"%s"}' % (b"y" * 3_000)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Of 8 MB."""
    with small_disk(tmp_path, 8) as disk:
        yield disk


async def fill(log: SqliteLog, make: Events) -> int:
    """Append until it is refused; how many were kept. Soon after more may fit: what is sealed is put in order."""
    kept = 0
    for _ in range(1_000):
        try:
            kept += len(await log.append(make.some(20, body=BODY)))
        except LogFull:
            return kept
    raise AssertionError("the disk never got full")


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(disk: Path) -> None:
    async def run() -> None:
        seal_at = SealAt()  # the index builder of several would race for the last bytes
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 2_000_000)
        make = Events(Clock())
        log = await SqliteLog.open(disk / "log", seal_at=seal_at, reserve=0)
        kept = await fill(log, make)
        for _ in range(3):
            kept += await fill(log, make)
        assert await log.end(0) == kept
        ballast.unlink()
        assert await log.append([make.one("again")]) == [Position(0, kept + 1)]
        assert offsets(await read_all(log)) == list(range(1, kept + 2))
        await log.close()
        log = await SqliteLog.open(disk / "log", seal_at=seal_at, reserve=0)
        assert offsets(await read_all(log)) == list(range(1, kept + 2))
        await log.close()

    asyncio.run(run())


def test_what_was_refused_is_no_duplicate_when_it_comes_again(disk: Path) -> None:
    async def run() -> None:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 4_000_000)
        make = Events(Clock())
        log = await SqliteLog.open(disk / "log", reserve=0)
        kept = await fill(log, make)
        refused = make.some(20, body=BODY)
        with suppress(LogFull):
            while await log.append(refused):
                kept += 20
                refused = make.some(20, body=BODY)
        ballast.unlink()
        assert await log.append(refused) == [Position(0, kept + 1 + number) for number in range(20)]
        await log.close()

    asyncio.run(run())


def test_a_log_that_was_full_says_so_until_there_is_room_also_if_nobody_appends(disk: Path) -> None:
    async def run() -> None:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 4_000_000)
        make = Events(Clock())
        log = await SqliteLog.open(disk / "log", reserve=0)
        seen = [log.writable]
        kept = await fill(log, make)
        seen.append(log.writable)
        ballast.unlink()
        async with asyncio.timeout(30):
            while not log.writable:  # noqa: ASYNC110 - the writer's thread tries by itself
                await asyncio.sleep(0.02)
        assert seen == [True, False]
        assert await log.append(make.some(20, body=BODY)) == [Position(0, kept + 1 + number) for number in range(20)]
        await log.close()
        assert not log.writable

    asyncio.run(run())


@pytest.mark.parametrize("seal_at", [SealAt(), SealAt(events=300)], ids=["one segment", "several segments"])
def test_the_last_of_the_disk_is_left_to_others_also_after_checkpoints_and_indexes(disk: Path, seal_at: SealAt) -> None:
    reserve = 3 * 1024 * 1024

    async def run() -> None:
        make = Events(Clock())
        log = await SqliteLog.open(disk / "log", seal_at=seal_at, reserve=reserve)
        kept = await fill(log, make)
        assert kept > 300
        await log.close()  # the last checkpoint
        assert free(disk) > reserve - 512 * 1024
        (disk / "others").write_bytes(b"x" * (free(disk) - 64 * 1024))
        log = await SqliteLog.open(disk / "log", seal_at=seal_at, reserve=reserve)
        with pytest.raises(LogFull, match="MB of the disk are free"):
            await log.append(make.some(1, body=BODY))
        assert not log.writable
        (disk / "others").unlink()
        if seal_at.events == 300:
            assert await log.trim(0, 300) == 300

        async def is_writable() -> bool:
            return log.writable

        await log.append([make.one("again")])
        await poll(is_writable)
        assert offsets(await read_all(log))[-1] == kept + 1
        await log.close()

    asyncio.run(run())


def test_on_a_full_disk_readers_read_and_dropping_old_segments_makes_room(disk: Path) -> None:
    async def run() -> None:
        make = Events(Clock())
        log = await SqliteLog.open(disk / "log", seal_at=SealAt(events=300), reserve=2 * 1024 * 1024)
        kept = await fill(log, make)
        assert kept > 300
        log_reader = SqliteLogReader(disk / "log")
        assert offsets(await read_all(log_reader, START)) == list(range(1, kept + 1))
        await log_reader.close()
        assert await log.trim(0, 300) == 300

        async def is_taken() -> bool:
            with suppress(LogFull):
                return bool(await log.append([make.one()]))
            return False

        await poll(is_taken)
        assert offsets(await read_all(log)) == list(range(301, kept + 2))
        await log.close()

    asyncio.run(run())
