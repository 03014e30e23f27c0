"""The end of a real log, followed for many at once, while a real writer writes."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from milonga.console import tail as tail_module
from milonga.console.live import Row, Wish
from milonga.console.tail import BELL, Crowded, Discards, Tail
from milonga.eventlog.api import Discard
from milonga.eventlog.bell import bells_of
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from tests.eventlog.parts import Clock, Events, poll

PATIENCE = 60.0  #: seconds nothing here ever needs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


class World:
    """A log with its writer, a tail of it, and how often each row was encoded."""

    def __init__(self, folder: Path, log: SqliteLog) -> None:
        self.log, self.clock = log, Clock()
        self.make = Events(self.clock)
        self.encoded: Counter[int] = Counter()
        self.tail = Tail(folder, self._encode, now=lambda: self.clock.now, most=30, look=100)

    def _encode(self, row: Row) -> bytes:
        if row.position is None:
            return row.code.encode()
        self.encoded[row.position.offset] += 1
        if row.name == "Broken":
            raise KeyError(row.name)
        return f"{row.name}\n{row.user}".encode()

    async def discard(self, number: int, source: int = 1) -> None:
        self.clock.now += 1
        await self.log.discard(
            [Discard(source=source, at=self.clock.now, code="bad", reason=str(n), excerpt=b"") for n in range(number)]
        )

    async def has_looked(self) -> bool:
        return self.tail.looked_for_discards


async def with_world(folder: Path, run: Callable[[World], Awaitable[None]], **options: Any) -> None:
    log = await SqliteLog.open(folder, **options)
    world = World(folder, log)
    try:
        async with asyncio.timeout(PATIENCE):
            await run(world)
    finally:
        await world.tail.close()
        await log.close()


class Watcher:
    """
    A browser that watches.

    rows    what it was shown, oldest first
    told    of all `missed`
    place   the id of the last of them
    """

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        self.rows: list[str] = []
        self.shed = self.passed = self.beats = 0
        self.place = ""
        self.trouble = ""
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run(frames))

    async def _run(self, frames: AsyncIterator[bytes]) -> None:
        async for part in frames:
            for frame in part.decode().split("\n\n"):
                self._take(frame)
            self._news.set()

    def _take(self, frame: str) -> None:
        fields = [line.partition(": ")[::2] for line in frame.splitlines()]
        named = dict(fields)
        data = "\n".join(value for name, value in fields if name == "data")
        self.place = named.get("id", self.place)
        match named.get("event"):
            case "row":
                self.rows.append(data)
            case "missed":
                told = msgspec.json.decode(data)
                self.shed += told["shed"]
                self.passed += told["passed"]
                self.trouble = told["trouble"]
            case "beat":
                self.beats += 1

    async def until(self, what: Callable[[], bool]) -> None:
        while not what():
            self._news.clear()
            await self._news.wait()

    async def begun(self) -> None:
        await self.until(lambda: self.beats > 0)
        await asyncio.sleep(0)

    async def leave(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


@asynccontextmanager
async def watching(world: World, wish: Wish = Wish(), after: int | None = None) -> AsyncIterator[Watcher]:  # noqa: B008
    watcher = Watcher(world.tail.frames(wish, after))
    await watcher.begun()
    try:
        yield watcher
    finally:
        await watcher.leave()


def test_an_event_is_shown_as_it_arrives_and_nothing_from_before(folder: Path) -> None:
    async def run(world: World) -> None:
        await world.log.append(world.make.some(3))
        async with watching(world) as watcher:
            await world.log.append([world.make.one(body=b'{"event":"Paid"}', user_id="ada")])
            await watcher.until(lambda: len(watcher.rows) == 1)
            assert watcher.rows == ["Paid\nada"]
            assert watcher.place == "0-4"
            assert (watcher.shed, watcher.passed) == (0, 0)

    asyncio.run(with_world(folder, run))


def test_a_row_is_encoded_once_however_many_look_at_it(folder: Path) -> None:
    async def run(world: World) -> None:
        watchers = [Watcher(world.tail.frames(Wish(source=1))) for _ in range(20)]
        for one in watchers:
            await one.begun()
        await world.log.append(world.make.some(10))
        for one in watchers:
            await one.until(lambda one=one: len(one.rows) == 10)  # type: ignore[misc]
        assert world.encoded == Counter(range(1, 11))
        for one in watchers:
            await one.leave()
        assert world.tail.viewers == 0

    asyncio.run(with_world(folder, run))


def test_each_sees_what_it_asked_for(folder: Path) -> None:
    async def run(world: World) -> None:
        async with watching(world, Wish(source=2)) as other, watching(world, Wish(text="EVENT 3")) as third:
            await world.log.append([*world.make.some(3), world.make.one(source=2, user_id="bob")])
            await other.until(lambda: len(other.rows) == 1)
            await third.until(lambda: len(third.rows) == 1)
            assert other.rows == ["Event 4\nbob"]
            assert third.rows == ["Event 3\nuser-3"]
        assert world.encoded == Counter([3, 4]), "what nobody sees costs no encoding"

    asyncio.run(with_world(folder, run))


def test_far_behind_it_jumps_to_the_end_and_says_how_many_it_passed_by(folder: Path) -> None:
    async def run(world: World) -> None:
        async with watching(world) as watcher:
            await world.log.append(world.make.some(950))
            await watcher.until(lambda: watcher.place == "0-950")
            assert watcher.rows[-1].startswith("Event 950\n")
            assert len(watcher.rows) <= 60
            assert watcher.passed >= 800
            assert len(watcher.rows) + watcher.shed + watcher.passed == 950

    asyncio.run(with_world(folder, run, seal_at=SealAt(events=300)))


def test_after_a_lost_connection_what_came_meanwhile_is_shown_and_nothing_twice(folder: Path) -> None:
    async def run(world: World) -> None:
        async with watching(world) as watcher:
            await world.log.append(world.make.some(2))
            await watcher.until(lambda: watcher.place == "0-2")
        await world.log.append(world.make.some(2))
        async with watching(world) as somebody, watching(world, after=2) as again:
            await world.log.append(world.make.some(1))
            await again.until(lambda: len(again.rows) == 3)
            await somebody.until(lambda: bool(somebody.rows))
            assert [re.findall(r"\d+", row)[0] for row in again.rows] == ["3", "4", "5"]
            assert somebody.rows == again.rows[-1:]
        async with watching(world, after=3) as alone:
            await alone.until(lambda: len(alone.rows) == 2)
            await world.log.append(world.make.some(1))
            await alone.until(lambda: len(alone.rows) == 3)
            assert alone.passed == 0

    asyncio.run(with_world(folder, run))


def test_whoever_was_away_for_long_is_told_how_much_it_missed(folder: Path) -> None:
    async def run(world: World) -> None:
        await world.log.append(world.make.some(500))
        async with watching(world, after=1) as watcher:
            await watcher.until(lambda: watcher.place == "0-500")
            assert len(watcher.rows) + watcher.shed + watcher.passed == 499

    asyncio.run(with_world(folder, run))


def test_the_log_is_followed_only_while_somebody_watches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "LINGER", 0.01)

    async def run(world: World) -> None:
        bell = bells_of(folder) / BELL
        for _ in range(2):
            assert not bell.exists()
            async with watching(world) as watcher:
                await world.log.append(world.make.some(1))
                await watcher.until(lambda watcher=watcher: len(watcher.rows) == 1)  # type: ignore[misc]
                assert bell.exists()
            await poll(lambda: gone(bell))

    asyncio.run(with_world(folder, run))


async def gone(path: Path) -> bool:
    return not await asyncio.to_thread(path.exists)


def test_an_event_that_cannot_be_encoded_ends_nobodys_view(folder: Path) -> None:
    async def run(world: World) -> None:
        async with watching(world) as watcher:
            await world.log.append([world.make.one(body=b'{"event":"Broken"}'), world.make.one()])
            await watcher.until(lambda: watcher.place == "0-2")
            assert watcher.rows == ["Event 2\nuser-2"]

    asyncio.run(with_world(folder, run))


def test_a_folder_that_comes_later_is_followed_once_it_is_there(folder: Path) -> None:
    async def run() -> None:
        tail = Tail(folder, lambda row: (row.name or "").encode())
        watcher = Watcher(tail.frames(Wish()))
        await watcher.begun()
        log = await SqliteLog.open(folder)
        await log.append(Events(Clock()).some(1))
        await watcher.until(lambda: watcher.rows == ["Event 1"])
        await watcher.leave()
        await tail.close()
        await log.close()

    asyncio.run(run())


def test_trouble_is_told_and_over_when_it_is_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(world: World) -> None:
        async with watching(world) as watcher:
            await world.log.append(world.make.some(1))
            await watcher.until(lambda: len(watcher.rows) == 1)
            with monkeypatch.context() as broken:
                broken.setattr(tail_module, "row_of", lambda _: 1 / 0)
                await world.log.append(world.make.some(1))
                await watcher.until(lambda: bool(watcher.trouble))
                assert "ZeroDivisionError" in watcher.trouble
            await world.log.append(world.make.some(1))
            await watcher.until(lambda: len(watcher.rows) == 3)
            assert not watcher.trouble

    asyncio.run(with_world(folder, run))


def test_more_than_may_watch_are_turned_away(folder: Path) -> None:
    async def run(world: World) -> None:
        watchers = [Watcher(world.tail.frames(Wish())) for _ in range(30)]
        for one in watchers:
            await one.begun()
        with pytest.raises(Crowded):
            await anext(world.tail.frames(Wish()))
        await watchers.pop().leave()
        async with watching(world):
            pass
        for one in watchers:
            await one.leave()

    asyncio.run(with_world(folder, run))


def test_what_is_discarded_is_shown_with_its_code_and_the_number_of_those_that_are_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "DISCARDS_EVERY", 0.02)

    async def run(world: World) -> None:
        await world.discard(5)
        async with watching(world, Wish(source=1)) as watcher, watching(world, Wish(source=2)) as other:
            await poll(world.has_looked)
            await world.discard(3)
            await watcher.until(lambda: len(watcher.rows) == 3)
            assert set(watcher.rows) == {"bad"}
            await world.discard(200)
            await watcher.until(lambda: len(watcher.rows) + watcher.shed == 203)
            assert (other.rows, other.shed) == ([], 0)

    asyncio.run(with_world(folder, run))


def test_discards_are_found_once_and_counted_all(folder: Path) -> None:
    async def run(world: World) -> None:
        discards = Discards(folder, lambda: world.clock.now)
        await world.discard(4)
        assert await asyncio.to_thread(discards.look) == ([], Counter())
        await world.discard(2, source=7)
        found, many = await asyncio.to_thread(discards.look)
        assert ([one.source for one in found], many) == ([7, 7], Counter({7: 2}))
        assert await asyncio.to_thread(discards.look) == ([], Counter())
        world.clock.now += 10 * 60_000
        await world.discard(120)
        found, many = await asyncio.to_thread(discards.look)
        assert (len(found), many) == (tail_module.DISCARDS, Counter({1: 120}))

    asyncio.run(with_world(folder, run))
