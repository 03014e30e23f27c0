"""What only the SQLite log promises: its files, its limits, and readers in other processes."""

import asyncio
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest

from milonga.eventlog import known, reader, writer
from milonga.eventlog import sqlite as sqlite_log
from milonga.eventlog.api import START, Damaged, Duplicate, LogFull, Position, Stored
from milonga.eventlog.lookup import EventLookup
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.record import UnknownFormat
from milonga.eventlog.segment import has_indexes, list_segments, open_settled, path_of
from milonga.eventlog.sqlite import LogInUse, SqliteLog
from milonga.eventlog.writer import SealAt

from .conformance import HOUR, Clock, Events, event_of, events_of, offsets, poll, read_all


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Events:
    return Events(clock)


async def settled(folder: Path) -> None:
    """Every sealed segment has its indexes and will not change again."""

    async def are_settled() -> bool:
        for first in list_segments(folder)[:-1]:
            if (connection := open_settled(path_of(folder, first))) is None:
                return False
            connection.close()
        return True

    await poll(are_settled)


def damage_page_of(folder: Path, first: int, marker: bytes) -> None:
    """Overwrite the page that holds this text."""
    path = path_of(folder, first)
    content = bytearray(path.read_bytes())
    place = content.index(marker) // 16384 * 16384
    content[place : place + 16384] = b"\xa5" * 16384
    path.write_bytes(content)


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


# Damage


def test_a_damaged_page_is_named_event_by_event_and_the_rest_is_read(folder: Path, make: Events) -> None:
    async def run() -> None:
        events = [make.one(body=b'{"number":"<%d>","x":"%s"}' % (number, b"x" * 900)) for number in range(100)]
        log = await SqliteLog.open(folder, seal_at=SealAt(events=100))
        await log.append(events)
        await log.append(make.some(1))
        await settled(folder)
        await log.close()
        damage_page_of(folder, 1, b"<50>")
        found = await read_all(SqliteLogReader(folder), limit=7)
        assert offsets(found) == list(range(1, 102))
        damaged = [one for one in found if isinstance(one, Damaged)]
        assert 5 < len(damaged) < 20
        assert "page cannot be read" in damaged[0].reason
        assert events_of([one for one in found if isinstance(one, Stored)][:-1]) == [
            event for number, event in enumerate(events, 1) if number not in offsets(list(damaged))
        ]

    asyncio.run(run())


def test_a_file_that_cannot_be_read_at_all_is_named_event_by_event(folder: Path, clock: Clock, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10))
        for _ in range(3):
            await log.append(make.some(10))
        await settled(folder)
        await log.close()
        path_of(folder, 11).write_bytes(b"not a database " * 10_000)
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10))
        found = await read_all(log, limit=4)
        assert offsets(found) == list(range(1, 31))
        assert [one.position.offset for one in found if isinstance(one, Damaged)] == list(range(11, 21))
        assert await log.append(make.some(1)) == [Position(0, 31)]
        assert await log.drop_older_than(-1, keep_from=21) == 20
        assert offsets(await read_all(log)) == list(range(21, 32))
        await log.close()

    asyncio.run(run())


def test_a_log_whose_newest_page_is_damaged_goes_on_in_a_new_segment(folder: Path, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder)
        await log.append([make.one(body=b'{"number":"<%d>","x":"%s"}' % (n, b"x" * 900)) for n in range(100)])
        await log.close()
        damage_page_of(folder, 1, b"<99>")
        log = await SqliteLog.open(folder)
        (position,) = await log.append([make.one("after")])
        assert isinstance(position, Position)
        assert position.offset > 100
        found = await read_all(log, limit=1000)
        assert offsets(found) == list(range(1, position.offset + 1))
        assert event_of(found[-1]).stamp.message_id == "after"
        assert sum(isinstance(one, Stored) for one in found) > 80
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


# Other processes

APPEND = """
import asyncio, sys
from pathlib import Path
from eventlog.conformance import Clock, Events
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


# Finding events again


def test_events_are_found_by_id_user_and_account_in_every_segment(folder: Path, clock: Clock, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10))
        for number in range(35):
            await log.append([make.one(f"m{number}", user_id=f"u{number % 2}", account=f"a{number % 3}")])
        await log.append([make.one("m3", source=2)])
        await settled(folder)
        look = EventLookup(folder)
        assert offsets(look.by_message_id("m3")) == [36, 4]
        assert offsets(look.by_message_id("m34")) == [35]
        assert look.by_message_id("nobody") == []
        assert offsets(look.by_user("u0", 4)) == [35, 33, 31, 29]
        assert offsets(look.by_user("u0", 100, before=29)) == list(range(27, 0, -2))
        assert offsets(look.by_account("a1", 3, before=12)) == [11, 8, 5]
        assert offsets(look.newest(3)) == [36, 35, 34]
        found = look.at(Position(0, 7))
        assert isinstance(found, Stored)
        assert found.event.stamp.message_id == "m6"
        assert look.at(Position(0, 37)) is None
        assert look.since() == clock.now
        await log.close()

    asyncio.run(run())


def test_nothing_is_found_before_there_is_a_log(folder: Path) -> None:
    look = EventLookup(folder)
    assert look.by_message_id("m") == []
    assert look.at(Position(0, 1)) is None
    assert look.counts(0, 2**40) == []
    assert look.discards(10) == []
    assert look.since() is None
