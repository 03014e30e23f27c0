"""What only the SQLite log promises: its files, its limits, what is one transaction."""

import asyncio
import os
import stat
from pathlib import Path

import apsw
import pytest

from milonga.eventlog import known, reader, writer
from milonga.eventlog import sqlite as sqlite_log
from milonga.eventlog.api import START, Duplicate, LogFull, Position
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.record import UnknownFormat
from milonga.eventlog.segment import has_indexes, list_segments, path_of
from milonga.eventlog.sqlite import LogInUse, SqliteLog
from milonga.eventlog.writer import SealAt

from .parts import HOUR, Clock, Events, offsets, poll, read_all
from .segments import settled


def modes(folder: Path) -> set[int]:
    """Of the folders and of the files, which must each be of one kind."""
    parts = [folder, *folder.rglob("*")]
    folders = {stat.S_IMODE(part.stat().st_mode) for part in parts if part.is_dir()}
    files = {stat.S_IMODE(part.stat().st_mode) for part in parts if not part.is_dir()}
    assert len(folders) == len(files) == 1
    assert files == {0o600}
    return folders | files


def open_files() -> list[str]:
    """Of this process, in the folder of a log."""
    targets = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [target for target in targets if "/log/" in target]


# Files


def test_nobody_else_may_read_the_files(folder: Path, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder)
        await log.append(make.some(3))
        assert modes(folder) == {0o700, 0o600}
        await log.close()

    asyncio.run(run())


def test_a_second_writer_is_refused_and_told_who_has_it(folder: Path) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder)
        with pytest.raises(LogInUse, match=f"Process {os.getpid()} "):
            await SqliteLog.open(folder)
        await log.close()
        await (await SqliteLog.open(folder)).close()

    asyncio.run(run())


def test_a_file_of_a_newer_format_is_refused_by_name(folder: Path, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder)
        await log.append(make.some(1))
        await log.close()
        connection = apsw.Connection(str(path_of(folder, 1)))
        connection.pragma("user_version", 99)
        connection.close()
        with pytest.raises(UnknownFormat, match=r"0000000000000001\.db has format 99"):
            await SqliteLog.open(folder)
        with pytest.raises(UnknownFormat, match="format 99"):
            await SqliteLogReader(folder).read(0, START, 10)

    asyncio.run(run())


def test_a_quiet_segment_is_sealed_by_age_so_that_it_can_be_dropped(folder: Path, clock: Clock, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock)
        await log.append(make.some(5))
        clock.now += 24 * HOUR

        async def is_sealed() -> bool:
            return list_segments(folder) == [1, 6]

        await poll(is_sealed)
        await settled(folder)
        assert await log.drop_older_than(24 * HOUR + 1, keep_from=6) == 0
        assert await log.drop_older_than(23 * HOUR, keep_from=5) == 0
        assert await log.drop_older_than(23 * HOUR, keep_from=6) == 5
        assert list_segments(folder) == [6]
        await log.close()

    asyncio.run(run())
    assert list(folder.glob("0000000000000001*")) == []


def test_dropped_segments_are_let_go_of_so_that_the_disk_has_their_space(folder: Path, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, seal_at=SealAt(events=10))
        other = SqliteLogReader(folder)
        for number in range(5):
            await log.append([make.one(f"m{number}-{part}") for part in range(10)])
        await settled(folder)
        copies = [make.one(f"m{number}-0") for number in range(5)]
        assert all(isinstance(answer, Duplicate) for answer in await log.append(copies))
        assert len(await read_all(log)) == len(await read_all(other)) == 50
        assert await log.trim(0, 30) == 30
        assert len(await read_all(log)) == 20

        async def are_let_go() -> bool:
            return not any(target.endswith("(deleted)") for target in open_files())

        waiting = asyncio.ensure_future(other.wait(0, 50, 30))
        await poll(are_let_go)
        await log.append(make.some(1))
        assert await waiting
        assert len(await read_all(other)) == 21
        await other.close()
        await log.close()

    asyncio.run(run())


def test_a_segment_ends_by_size(folder: Path, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, seal_at=SealAt(size=100_000))
        for _ in range(10):
            await log.append(make.some(1, body=b'{"x":"%s"}' % (b"y" * 30_000)))
        assert list_segments(folder) == [1, 5, 9]
        await log.close()

    asyncio.run(run())


def test_leftovers_of_a_crash_are_cleared_away(folder: Path, make: Events) -> None:
    folder.mkdir(parents=True)
    for name in ("new.db", "new.db-wal", "0000000000000001.db-wal", "0000000000000001.db-shm"):
        (folder / name).write_bytes(b"left over")

    async def run() -> None:
        log = await SqliteLog.open(folder)
        assert await log.append(make.some(1)) == [Position(0, 1)]
        await log.close()
        assert not (folder / "new.db").exists()

    asyncio.run(run())


# Duplicates


def test_ids_whose_hashes_collide_are_not_mixed_up(folder: Path, make: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "key_of", lambda _source, _id: 7)

    async def run() -> None:
        log = await SqliteLog.open(folder, seal_at=SealAt(events=5))
        answers = [(await log.append([make.one(f"m{number}")]))[0] for number in range(12)]
        assert answers == [Position(0, number + 1) for number in range(12)]
        assert await log.append([make.one("m11")]) == [Duplicate(Position(0, 12))]
        await log.close()

    asyncio.run(run())


def test_a_missing_index_is_made_again(folder: Path, clock: Clock, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=5))
        for number in range(31):
            await log.append([make.one(f"m{number}")])
        await settled(folder)
        await log.close()
        for first in list_segments(folder)[:-1]:
            connection = apsw.Connection(str(path_of(folder, first)))
            assert has_indexes(connection)
            connection.execute("DROP INDEX events_message_id; DROP INDEX events_user; DROP INDEX events_account")
            connection.close()
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=5))
        answers = await log.append([make.one(f"m{number}") for number in range(31)])
        assert answers == [Duplicate(Position(0, number + 1)) for number in range(31)]
        await settled(folder)
        await log.close()

    asyncio.run(run())


def test_more_segments_than_files_may_be_open(
    folder: Path, clock: Clock, make: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "OPEN_FILES", 2)
    monkeypatch.setattr(reader, "OPEN_FILES", 2)

    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=5))
        for number in range(50):
            await log.append([make.one(f"m{number}")])
        await settled(folder)
        answers = await log.append([make.one(f"m{number}") for number in range(50)])
        assert answers == [Duplicate(Position(0, number + 1)) for number in range(50)]
        assert offsets(await read_all(log, limit=3)) == list(range(1, 51))
        await log.close()

    asyncio.run(run())


# Groups


def test_what_is_appended_in_one_turn_of_the_event_loop_is_one_transaction(
    folder: Path, make: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "TICK", 3600.0)  # counts are transactions, too
    steps: list[str] = []

    async def run() -> None:
        log = await SqliteLog.open(folder, on_step=steps.append)
        appends = [log.submit([event]) for event in make.some(50)]
        assert await asyncio.gather(*appends) == [[Position(0, number)] for number in range(1, 51)]
        assert steps.count("after-commit") == 1
        await log.close()

    asyncio.run(run())


def test_what_was_submitted_just_before_the_log_is_closed_is_kept_and_answered(folder: Path, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder)
        appends = [log.submit([event]) for event in make.some(3)]
        await log.close()
        assert await asyncio.gather(*appends) == [[Position(0, number)] for number in range(1, 4)]
        assert offsets(await read_all(SqliteLogReader(folder))) == [1, 2, 3]

    asyncio.run(run())


def test_one_turn_may_bring_more_than_a_transaction_takes(
    folder: Path, make: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "TICK", 3600.0)  # counts are transactions, too
    steps: list[str] = []

    async def run() -> None:
        log = await SqliteLog.open(folder, on_step=steps.append)
        appends = [log.submit(make.some(500)) for _ in range(10)]
        answers = await asyncio.gather(*appends)
        assert [place for places in answers for place in places] == [Position(0, n) for n in range(1, 5_001)]
        assert 3 <= steps.count("after-commit") <= 10
        await log.close()

    asyncio.run(run())


# Limits


def test_more_waiting_than_the_limit_is_refused_at_once_and_nothing_of_it_is_kept(
    folder: Path, make: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_log, "WAITING_EVENTS", 100)

    async def run() -> None:
        log = await SqliteLog.open(folder)
        answers = await asyncio.gather(*(log.append(make.some(20)) for _ in range(20)), return_exceptions=True)
        kept = [answer for answer in answers if isinstance(answer, list)]
        assert len(kept) == 5
        assert all(isinstance(answer, LogFull) for answer in answers if not isinstance(answer, list))
        assert await log.end(0) == 100
        assert len(await log.append(make.some(20))) == 20
        await log.close()

    asyncio.run(run())


def test_an_append_that_is_given_up_waiting_does_no_harm(folder: Path, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder)
        waiting = asyncio.ensure_future(log.append(make.some(2)))
        await asyncio.sleep(0)
        waiting.cancel()
        assert len(await log.append(make.some(2))) == 2
        await log.close()

    asyncio.run(run())


def test_one_read_is_bounded_by_bytes_but_gives_at_least_one_event(folder: Path, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder)
        await log.append(make.some(10, body=b'{"x":"%s"}' % (b"y" * 30_000)))
        await log.close()
        log_reader = SqliteLogReader(folder)
        assert len(await log_reader.read(0, START, 500, most_bytes=100_000)) == 4
        assert len(await log_reader.read(0, START, 500, most_bytes=1)) == 1
        await log_reader.close()

    asyncio.run(run())
