"""Users' events are erased from the log's files: not a byte is left, and everything else is as it was."""

import asyncio
import os
import signal
import subprocess
import sys
from array import array
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from msgspec import UNSET

from milonga.eventlog.api import Discard, Duplicate, Position, Stored
from milonga.eventlog.erasing import places_in
from milonga.eventlog.lookup import EventLookup
from milonga.eventlog.reader import SqliteLogReader
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from milonga.identity.duplicates import filter_key
from milonga.privacy.digest import erased_message_id
from milonga.privacy.regulation import Deletion
from milonga.spec.stored import Stamped

from .parts import Clock, Events, event_of, offsets, read_all

SALT = b"s" * 32
ADA = Deletion(7, None, frozenset(["ada-lovelace"]), {0: 1_000})


def mixed(make: Events, count: int) -> list[Stamped]:
    """Every third event is Ada's, and one of them an alias that names her as the former id."""
    events = []
    for number in range(count):
        if number % 3 == 1:
            body = b'{"type":"track","event":"Secret-%d","userId":"ada-lovelace"}' % number
            events.append(make.one(f"ada-{number}", user_id="ada-lovelace", body=body))
        else:
            events.append(make.one(f"bob-{number}", user_id="bob"))
    alias = b'{"type":"alias","userId":"countess","previousId":"ada-lovelace"}'
    return [*events, make.one("ada-alias", type="alias", user_id="countess", body=alias)]


def filter_keys(folder: Path) -> set[int]:
    """Of all sealed segments, as they are on disk."""
    found = set[int]()
    for path in folder.glob("*.db"):
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get:
                keys = db.execute("SELECT value FROM meta WHERE key = 'filter_keys'").get
                found |= set(array("Q", keys)) if isinstance(keys, bytes) else set()
    return found


def left_in(folder: Path, *texts: bytes) -> list[str]:
    """Files in which one of these bytes can be found."""
    return [path.name for path in folder.iterdir() if path.is_file() and any(t in path.read_bytes() for t in texts)]


def test_nothing_is_left_in_any_file_and_all_else_stays(folder: Path, make: Events, clock: Clock) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10), reserve=0)
        reader = SqliteLogReader(folder)  # as the delivery process has it: files open, before and after
        events = mixed(make, 30)
        for begin in range(0, len(events), 5):
            await log.append(events[begin : begin + 5])
        excerpt = b'{"type":"track","userId":"ada-lovelace","traits":{"email":"Secret-mail"}}'
        await log.discard([Discard(source=1, at=clock.now, code="event_not_defined", reason="No", excerpt=excerpt)])
        await log.discard([Discard(source=1, at=clock.now, code="event_not_defined", reason="No", excerpt=b'{"a":1}')])
        before = await read_all(reader)
        assert sum(len(places) for places in places_in(folder, [ADA])) == 11
        done = await log.erase([ADA], at=clock.now, salt=SALT)
        assert done.events == {7: 11}
        assert done.samples == 1
        assert not done.unreadable
        after = await read_all(reader)
        assert offsets(after) == offsets(before) == list(range(1, 32))
        for old, new in zip(before, after, strict=True):
            stamp = event_of(old).stamp
            if stamp.message_id.startswith("ada-"):
                gone = event_of(new)
                assert gone.body == b"{}"
                assert (gone.stamp.erased_at, gone.stamp.erased_by) == (clock.now, 7)
                assert gone.stamp.message_id == erased_message_id(SALT, stamp.message_id)
                assert (gone.stamp.user_id, gone.stamp.account) == (None, None)
                assert gone.stamp.received_at == stamp.received_at
            else:
                assert new == old
                assert event_of(new).stamp.erased_at is UNSET
        await log.flush()
        assert left_in(folder, b"ada-", b"Secret", b"lovelace") == []
        assert {filter_key(f"bob-{n}") for n in range(30) if n % 3 != 1} <= filter_keys(folder)
        assert not {filter_key(f"ada-{n}") for n in range(30) if n % 3 == 1} & filter_keys(folder)
        assert [one.excerpt for one in EventLookup(folder).discards(10)] == [b'{"a":1}']
        assert EventLookup(folder).by_user("ada-lovelace", 10) == []
        assert len(EventLookup(folder).by_user("bob", 100)) == 20
        assert list(places_in(folder, [ADA])) == []
        assert (await log.erase([ADA], at=clock.now, salt=SALT)).events == {}
        await log.append([make.one()])
        assert (await log.end(0)) == 32
        await reader.close()
        await log.close()

    asyncio.run(run())


def test_other_message_ids_are_still_duplicates_and_erased_ones_are_not(
    folder: Path, make: Events, clock: Clock
) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10), reserve=0)
        events = mixed(make, 30)
        await log.append(events)
        await log.erase([ADA], at=clock.now, salt=SALT)
        again = await log.append(events)
        assert [type(one) for one in again[:3]] == [Duplicate, Position, Duplicate]
        await log.close()
        log = await SqliteLog.open(folder, clock=clock, reserve=0)  # what it knows, now from the files
        assert all(isinstance(one, Duplicate) for one in await log.append(events))
        await log.close()

    asyncio.run(run())


def test_only_events_of_its_source_and_up_to_its_place_are_concerned(folder: Path, make: Events, clock: Clock) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, reserve=0)
        await log.append([make.one(user_id="ada", source=source) for source in (1, 2, 1, 2)])
        await log.append([make.one(user_id="42", source=1)])
        only = [Deletion(1, 2, frozenset(["ada"]), {0: 3}), Deletion(2, None, frozenset(["42"]), None)]
        done = await log.erase(only, at=clock.now, salt=SALT)
        assert done.events == {1: 1, 2: 1}
        kept = [event_of(one).stamp.erased_by for one in await read_all(log)]
        assert kept == [UNSET, 1, UNSET, UNSET, 2]
        await log.close()

    asyncio.run(run())


def test_a_damaged_segment_is_named_and_the_others_are_done(folder: Path, make: Events, clock: Clock) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10), reserve=0)
        for _ in range(3):
            await log.append(make.some(10, user_id="ada"))
        await log.append(make.some(1))
        await log.close()
        first = folder / f"{1:016d}.db"
        first.write_bytes(b"\0" * 4096 + first.read_bytes()[4096:])
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10), reserve=0)
        done = await log.erase([Deletion(1, None, frozenset(["ada"]), None)], at=clock.now, salt=SALT)
        assert done.events == {1: 20}
        assert list(done.unreadable) == [first.name]
        await log.close()

    asyncio.run(run())


ERASER = """
import asyncio, os, signal, sys
from pathlib import Path
from eventlog.parts import Clock
from milonga.eventlog.sqlite import SqliteLog
from milonga.privacy.regulation import Deletion

folder, step, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def on_step(name):
    global times
    if name == step:
        times -= 1
        if not times:
            os.kill(os.getpid(), signal.SIGKILL)

async def run():
    log = await SqliteLog.open(folder, clock=Clock(), reserve=0, on_step=on_step)
    await log.erase([Deletion(7, None, frozenset(["ada-lovelace"]), {0: 1000})], at=1, salt=b"s" * 32)

asyncio.run(run())
"""


@pytest.mark.parametrize("step", ["segment-named", "indexed", "erase-drafted", "erase-named"])
def test_a_kill_in_the_middle_loses_nothing_and_the_next_time_finishes_it(
    step: str, folder: Path, make: Events, clock: Clock
) -> None:
    async def fill() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10), reserve=0)
        events = mixed(make, 34)
        for begin in range(0, len(events), 5):
            await log.append(events[begin : begin + 5])
        await log.close()

    async def finish() -> None:
        log = await SqliteLog.open(folder, clock=clock, reserve=0)
        await log.erase([ADA], at=clock.now, salt=SALT)
        found = [one for one in await read_all(log) if isinstance(one, Stored)]
        assert offsets(found) == list(range(1, 36))
        assert sum(one.event.stamp.is_erased for one in found) == 12
        assert left_in(folder, b"ada-", b"Secret", b"lovelace") == []
        await log.close()

    asyncio.run(fill())
    done = subprocess.run(
        [sys.executable, "-c", ERASER, str(folder), step, "1"],
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[1]}:{os.environ.get('PYTHONPATH', '')}"},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    asyncio.run(finish())
