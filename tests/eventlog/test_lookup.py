"""Finding events again: by id, user, account and place."""

import asyncio
from pathlib import Path

from milonga.eventlog.api import Position, Stored
from milonga.eventlog.lookup import EventLookup
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt

from .parts import Clock, Events, offsets
from .segments import settled


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
        for after in range(36):  # within a segment, at its ends, and beyond it
            assert offsets(look.by_user("u0", 100, before=29, after=after)) == [
                n for n in range(27, after, -2) if n % 2
            ]
            assert offsets(look.newest(100, before=29, after=after)) == list(range(28, after, -1))
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
