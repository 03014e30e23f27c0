"""Which events the log must keep: none may go that a destination has still to read."""

import asyncio
import time
from pathlib import Path

import pytest

from milonga.cli.halves import Keep, first_needed, make_room
from milonga.delivery.replay_rows import Replay, Way
from milonga.delivery.rows import DetourRow, Parked
from milonga.delivery.selection import Selection
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.api import LogFull, Position
from milonga.eventlog.levels import MB
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.delivery import paper


def needed(
    tmp_path: Path, *, positions: dict[str, int] | None, detour: int = 0, parked: int = 0, replay: int = 0
) -> int:
    """With ten events, "early" there from the first on and "late" from the sixth; positions None: no delivery.db."""
    data = tmp_path / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "key")
        ids = {
            name: workspace.add_destination("webhook", "web", name, {}, DestinationState.on, {0: begin}).id
            for name, begin in (("early", 0), ("late", 5))
        }
        if positions is not None:
            store = DeliveryStore(data / "delivery.db")
            with store.transaction():
                for name, watermark in positions.items():
                    store.set_position(ids[name], 0, watermark)
                if detour:
                    row = DetourRow(leader="a", after=detour, upto=None, begins={"a": detour}, unread=1, counted=9)
                    store.set_detour(ids["early"], 0, row)
                if parked:
                    place = Parked(
                        position=Position(0, parked),
                        parked_at=0,
                        received_at=0,
                        keys=(("a",),),
                        resent=False,
                        event=None,
                    )
                    store.park(ids["early"], place)
                if replay:
                    wanted = Selection(source=1, since=0, until=1)
                    about = Replay(id=1, destination=1, asked_at=0, by="", wanted=wanted, rate=1.0, overwrite=False)
                    store.replays.begin(about)
                    store.replays.set_way(1, 0, Way(replay, 10))
            store.close()

        async def ask() -> int:
            log = await SqliteLog.open(data / "log")
            try:
                now = int(time.time() * 1000)
                await log.append([paper.event(n, received_at=now) for n in range(10)])
                return await first_needed(data, workspace, log)
            finally:
                await log.close()

        return asyncio.run(ask())


def test_what_everybody_has_passed_is_needed_no_more(tmp_path: Path) -> None:
    assert needed(tmp_path, positions={"early": 10, "late": 10}) == 11


def test_the_slowest_position_counts(tmp_path: Path) -> None:
    assert needed(tmp_path, positions={"early": 3, "late": 8}) == 4


def test_what_is_parked_or_waits_on_a_detour_is_needed(tmp_path: Path) -> None:
    assert needed(tmp_path / "a", positions={"early": 9, "late": 9}, parked=2) == 2
    assert needed(tmp_path / "b", positions={"early": 9, "late": 9}, detour=4) == 5


def test_what_a_replay_has_still_to_read_is_needed(tmp_path: Path) -> None:
    assert needed(tmp_path / "a", positions={"early": 9, "late": 9}, replay=3) == 4
    assert needed(tmp_path / "b", positions={"early": 9, "late": 9}, replay=10) == 10


def test_a_destination_without_a_position_needs_all_since_it_was_switched_on(tmp_path: Path) -> None:
    assert needed(tmp_path / "a", positions={"early": 9}) == 6
    assert needed(tmp_path / "b", positions={"late": 9}) == 1


def test_a_destination_that_is_off_needs_only_what_still_has_to_end(tmp_path: Path) -> None:
    positions = {"early": 9, "late": 9}
    assert needed(tmp_path / "a", positions=positions) == 10
    with Workspace.open(tmp_path / "b" / "data") as workspace:
        workspace.sources.add("other", "other")
        workspace.add_destination("webhook", "other", "never-on", {}, DestinationState.off, {0: 2})
        workspace.add_destination("webhook", "other", "was-on", {}, DestinationState.on, {0: 2})
        workspace.change_state("was-on", DestinationState.off, "cli", "", {0: 4})
    assert needed(tmp_path / "b", positions=positions) == 3, "one has not looked at what it got while it was on"


def test_when_delivery_db_is_lost_nothing_goes_that_will_be_read_again(tmp_path: Path) -> None:
    assert needed(tmp_path, positions=None) == 1


def test_on_a_full_disk_the_oldest_segment_goes_that_is_delivered_and_a_day_old_and_no_other(tmp_path: Path) -> None:
    async def ask() -> None:
        now = [int(time.time() * 1000)]
        log = await SqliteLog.open(tmp_path / "log", clock=lambda: now[0], seal_at=SealAt(events=10))
        try:
            for at in range(4):
                await log.append([paper.event(at * 10 + n, received_at=now[0]) for n in range(10)])
            keep = Keep(events=7.0)
            assert not await make_room(log, keep, needed=41), "within a day"
            now[0] += 25 * 3_600_000
            assert await make_room(log, keep, needed=21)
            assert await log.begin(0) == 11
            assert await make_room(log, keep, needed=21)
            assert not await make_room(log, keep, needed=21), "what is not delivered stays"
            assert await log.begin(0) == 21
        finally:
            await log.close()

    asyncio.run(ask())


def test_a_log_that_may_have_so_much_takes_about_so_much(tmp_path: Path) -> None:
    most = 2 * MB

    async def ask() -> None:
        log = await SqliteLog.open(tmp_path / "log", most=most, seal_at=SealAt(size=most // 8))

        async def fill() -> None:
            for n in range(100):
                await log.append([paper.event(n * 50 + m, filler="x" * 1_000) for m in range(50)])

        try:
            with pytest.raises(LogFull, match="may have 2 MB"):
                await fill()
        finally:
            await log.close()

    asyncio.run(ask())
    size = sum(file.stat().st_size for file in (tmp_path / "log").iterdir())  # of a closed log: no file goes meanwhile
    assert most * 0.5 < size < most * 2
