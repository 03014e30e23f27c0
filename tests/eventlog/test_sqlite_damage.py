"""Segments that are damaged, emptied, or gone: what can be read is read, and no offset is given out twice."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from milonga.eventlog.api import START, Damaged, Duplicate, Position, Stored
from milonga.eventlog.lookup import EventLookup
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.segment import list_segments, open_to_write, path_of
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt

from .parts import Clock, Events, event_of, events_of, offsets, poll, read_all
from .segments import damage_page_of, settled

SEAL_AT = SealAt(events=20)


CLOCK = Clock()


def aside(folder: Path, name: str) -> list[Path]:
    return list(folder.glob(f"{name}.damaged-*"))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def overwrite_its_head(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(b"\xa5" * 16384 + content[16384:])


WAYS = [empty, cut_in_half, overwrite_its_head]


async def filled(folder: Path, make: Events, count: int) -> None:
    log = await SqliteLog.open(folder, clock=CLOCK, seal_at=SEAL_AT)
    for _ in range(count):
        await log.append(make.some(1, body=b'{"x":"%s"}' % (b"x" * 9000)))
    await log.close()


@pytest.mark.parametrize("spoil", WAYS)
def test_a_newest_segment_that_cannot_be_read_is_set_aside_and_the_log_goes_on_behind_all_it_can_have_held(
    folder: Path, make: Events, spoil: Callable[[Path], None]
) -> None:
    async def run() -> None:
        await filled(folder, make, 33)
        assert list_segments(folder) == [1, 21]
        spoil(path_of(folder, 21))
        content = path_of(folder, 21).read_bytes()
        reader = SqliteLogReader(folder)
        for _ in range(2):  # also when it is opened again before anything was written
            log = await SqliteLog.open(folder, clock=CLOCK, seal_at=SEAL_AT)
            await log.close()
        log = await SqliteLog.open(folder, clock=CLOCK, seal_at=SEAL_AT)
        positions = [(await log.append([make.one(f"after {number}")]))[0] for number in range(25)]
        first = positions[0]
        assert isinstance(first, Position)
        assert first.offset > 41, "21 and all that can follow"
        assert [one.offset for one in positions if isinstance(one, Position)] == [first.offset + n for n in range(25)]
        expected = [*range(1, 21), *range(first.offset, first.offset + 25)]
        for any_reader in (log, reader):
            found = await read_all(any_reader)
            assert offsets(found) == expected, "what is lost is not made up, event by event"
            assert all(isinstance(one, Stored) for one in found)
        (kept,) = aside(folder, "0000000000000021.db")
        assert kept.read_bytes() == content
        assert [event.position.offset for event in EventLookup(folder).newest(100)] == expected[::-1]
        await reader.close()
        await log.close()

    asyncio.run(run())


@pytest.mark.parametrize("spoil", WAYS)
def test_an_older_segment_that_cannot_be_read_is_named_event_by_event(
    folder: Path, make: Events, spoil: Callable[[Path], None]
) -> None:
    async def run() -> None:
        await filled(folder, make, 45)
        spoil(path_of(folder, 21))
        log = await SqliteLog.open(folder, clock=CLOCK, seal_at=SEAL_AT)
        found = await read_all(log)
        assert offsets(found) == list(range(1, 46))
        assert [one.position.offset for one in found if isinstance(one, Damaged)] == list(range(21, 41))
        assert len(EventLookup(folder).newest(100)) == 25
        await log.close()

    asyncio.run(run())


def test_a_log_that_is_gone_goes_on_behind_what_others_remember(folder: Path, make: Events) -> None:
    async def run() -> None:
        await filled(folder, make, 33)
        shutil.rmtree(folder)
        log = await SqliteLog.open(folder, clock=CLOCK, behind=33)
        assert await log.append([make.one("after")]) == [Position(0, 34)]
        assert offsets(await read_all(log, START)) == [34]
        assert await log.begin(0) == 34
        await log.close()

    asyncio.run(run())


def test_a_log_from_an_older_copy_goes_on_behind_what_others_remember_and_names_what_it_lacks(
    folder: Path, make: Events
) -> None:
    async def run() -> None:
        await filled(folder, make, 7)
        shutil.copytree(folder, folder.parent / "copy")
        await filled(folder, make, 26)
        shutil.rmtree(folder)
        (folder.parent / "copy").rename(folder)
        for _ in range(2):
            log = await SqliteLog.open(folder, clock=CLOCK, seal_at=SEAL_AT, behind=33)
            await log.close()
        log = await SqliteLog.open(folder, clock=CLOCK, seal_at=SEAL_AT, behind=33)
        for number in range(20):
            assert await log.append([make.one(f"after {number}")]) == [Position(0, 34 + number)]
        assert await log.append([make.one("after 0")]) == [Duplicate(Position(0, 34))]
        found = await read_all(log)
        assert offsets(found) == list(range(1, 54))
        assert [one.position.offset for one in found if isinstance(one, Damaged)] == list(range(8, 34))
        assert event_of(found[-1]).stamp.message_id == "after 19"
        await log.close()

    asyncio.run(run())


def test_damaged_counts_are_set_aside_and_counted_again_from_the_segments(folder: Path, make: Events) -> None:
    async def run() -> None:
        await filled(folder, make, 45)
        overwrite_its_head(folder / "counters.db")
        assert sum(count.n for count in EventLookup(folder).counts(0, 2**40)) == 45
        log = await SqliteLog.open(folder, clock=CLOCK, seal_at=SEAL_AT)

        async def are_counted() -> bool:
            return sum(count.n for count in EventLookup(folder).counts(0, 2**40)) == 45

        await poll(are_counted)
        assert len(aside(folder, "counters.db")) == 1
        await log.close()

    asyncio.run(run())


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


@pytest.mark.parametrize("sealed", [True, False])
def test_text_that_is_none_and_a_body_that_is_gone_are_named_event_by_event(
    folder: Path, make: Events, sealed: bool
) -> None:
    """What a wrong byte may make of a row whose page can be read."""

    async def run() -> None:
        log = await SqliteLog.open(folder, seal_at=SealAt(events=10 if sealed else 1000))
        await log.append(make.some(10))
        await log.append(make.some(1))
        await log.close()
        with closing(open_to_write(path_of(folder, 1))) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'events'")
        with closing(open_to_write(path_of(folder, 1))) as db:
            db.execute("UPDATE events SET stamp = CAST(x'7bff' AS TEXT) WHERE offset = 3")
            db.execute("UPDATE events SET message_id = CAST(x'ff' AS TEXT) WHERE offset = 4")
            db.execute("UPDATE events SET body = NULL WHERE offset = 6")
        log = await SqliteLog.open(folder, seal_at=SealAt(events=10 if sealed else 1000))
        (position,) = await log.append([make.one("after")])
        assert isinstance(position, Position)
        found = await read_all(log, limit=1000)
        damaged = [one.position.offset for one in found if isinstance(one, Damaged) and one.position.offset <= 11]
        assert damaged == [3, 6]  # 4 is sound: its columns for look-ups are not
        assert event_of(found[-1]).stamp.message_id == "after"
        await log.close()

    asyncio.run(run())
