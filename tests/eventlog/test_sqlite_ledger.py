"""What was accepted, dropped and discarded is counted durably, and stays countable when the events are gone."""

import asyncio
from pathlib import Path

import pytest

from milonga.eventlog import keeper as keeper_module
from milonga.eventlog.api import Discard, Refusal
from milonga.eventlog.counters import CODES, MINUTE, RINGS, SAMPLES, Count
from milonga.eventlog.lookup import EventLookup
from milonga.eventlog.segment import list_segments
from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt

from .parts import HOUR, Clock, Events, poll


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Events:
    return Events(clock)


def discard(clock: Clock, code: str = "no_user_anon_id", **changes: object) -> Discard:
    fields = {"source": 1, "at": clock.now, "code": code, "reason": "userId: missing", "excerpt": b"{}"}
    return Discard(**{**fields, **changes})  # type: ignore[arg-type]


def everything(folder: Path) -> dict[tuple[int, str], int]:
    total: dict[tuple[int, str], int] = {}
    for count in EventLookup(folder).counts(0, 2**40):
        total[count.source, count.name] = total.get((count.source, count.name), 0) + count.n
    return total


def test_counts_are_per_minute_source_and_name(folder: Path, clock: Clock, make: Events) -> None:
    async def run() -> None:
        minute = clock.now // MINUTE
        log = await SqliteLog.open(folder, clock=clock)
        await log.append([make.one("a"), make.one("b"), make.one("a"), make.one("c", source=2)])
        await log.discard([discard(clock), discard(clock), discard(clock, "bad_key", source=0)])
        clock.now += MINUTE
        await log.append([make.one("d")])
        await log.close()
        look = EventLookup(folder)
        assert look.counts(minute, minute + 1) == [
            Count(minute, 0, "discarded:bad_key", 1),
            Count(minute, 1, "accepted", 2),
            Count(minute, 1, "discarded:no_user_anon_id", 2),
            Count(minute, 1, "duplicate", 1),
            Count(minute, 2, "accepted", 1),
        ]
        assert look.counts(minute + 1, minute + 2) == [Count(minute + 1, 1, "accepted", 1)]

    asyncio.run(run())


def test_a_discard_is_counted_on_return_and_the_rest_soon(folder: Path, clock: Clock, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock)
        await log.append([make.one("a"), make.one("a")])
        await log.discard([discard(clock)])
        assert everything(folder)[1, "discarded:no_user_anon_id"] == 1

        async def are_counted() -> bool:
            return everything(folder) == {
                (1, "accepted"): 1,
                (1, "duplicate"): 1,
                (1, "discarded:no_user_anon_id"): 1,
            }

        await poll(are_counted)
        await log.close()

    asyncio.run(run())


def test_refused_requests_are_counted_soon_with_no_event_and_outlive_segments_and_restarts(
    folder: Path, clock: Clock, make: Events
) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=1))
        log.refused([Refusal(source=0, at=clock.now, code="unknown_write_key", count=40)])

        async def is_counted() -> bool:
            return everything(folder) == {(0, "refused:unknown_write_key"): 40}

        await poll(is_counted)
        for _ in range(3):
            log.refused([Refusal(source=1, at=clock.now, code="rate_limited", count=2)])
            await log.append([make.one()])
        log.refused([Refusal(source=0, at=clock.now, code="unknown_write_key", count=2)])
        await log.close()  # what was counted last is written now
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=1))
        await log.trim(0, 2)
        assert everything(folder) == {
            (0, "refused:unknown_write_key"): 42,
            (1, "accepted"): 3,
            (1, "refused:rate_limited"): 6,
        }
        log.refused([])
        await log.close()

    asyncio.run(run())


def test_counts_outlive_their_segments_and_are_never_added_twice(
    folder: Path, clock: Clock, make: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "RETRY", 0.01)

    async def run() -> None:
        for _ in range(3):
            log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10))
            for _ in range(7):
                await log.append(make.some(5))
                await log.discard([discard(clock)])
                assert everything(folder)[1, "discarded:no_user_anon_id"] >= 1
            await log.close()
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=10))
        expected = {(1, "accepted"): 105, (1, "discarded:no_user_anon_id"): 21}
        assert everything(folder) == expected
        assert await log.trim(0, 100) >= 90
        assert len(list_segments(folder)) <= 2
        assert everything(folder) == expected
        await log.close()

    asyncio.run(run())


def test_counts_are_kept_as_long_as_one_wants(folder: Path, clock: Clock, make: Events) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock, seal_at=SealAt(events=1))
        await log.append([make.one(source=1)])
        await log.append([make.one(source=2)])
        clock.now += 401 * 24 * HOUR
        await log.append([make.one(source=3)])
        await log.append([make.one(source=4)])
        await log.forget_counts(402 * 24 * HOUR)
        assert everything(folder)[1, "accepted"] == 1

        async def are_forgotten() -> bool:
            await log.forget_counts(400 * 24 * HOUR)
            return not {(1, "accepted"), (2, "accepted")} & everything(folder).keys()

        await poll(are_forgotten)
        assert everything(folder)[3, "accepted"] == 1
        await log.close()

    asyncio.run(run())


def test_of_each_code_the_newest_are_kept_to_look_at(folder: Path, clock: Clock) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock)
        rare = discard(clock, "rare", excerpt=b'{"x":1}', source=0, reason="traits: expected an object")
        await log.discard([rare])
        for number in range(SAMPLES * 3):
            await log.discard([discard(clock, "often", at=clock.now + number + 1, excerpt=b"y" * 5_000)])
        found = EventLookup(folder).discards(1_000)
        assert len(found) == SAMPLES + 1
        assert found[-1] == rare
        assert [one.at - clock.now for one in found[:-1]] == list(range(SAMPLES * 3, SAMPLES * 2, -1))
        assert {len(one.excerpt) for one in found[:-1]} == {2_000}
        assert everything(folder)[1, "discarded:often"] == SAMPLES * 3
        await log.close()

    asyncio.run(run())


def test_one_discard_may_stand_for_many_events(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("milonga.eventlog.sqlite.WAITING_EVENTS", 2)

    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock)
        await asyncio.gather(log.discard([discard(clock, count=2_600_000)]), log.discard([discard(clock)]))
        assert len(EventLookup(folder).discards(1_000)) == 2
        assert everything(folder) == {(1, "discarded:no_user_anon_id"): 2_600_001}
        await log.close()

    asyncio.run(run())


def test_codes_without_end_do_not_fill_the_file_with_samples(folder: Path, clock: Clock) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock)
        await log.discard([discard(clock, f"code-{number}") for number in range(500)])
        assert len(EventLookup(folder).discards(1_000)) == 20
        assert sum(everything(folder).values()) == 500
        await log.close()

    asyncio.run(run())


def test_one_senders_bad_events_push_out_nobody_elses(folder: Path, clock: Clock) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock)
        await log.discard([discard(clock, source=2, at=clock.now)])
        for number in range(SAMPLES * 2):
            await log.discard([discard(clock, source=1, at=clock.now + number)])
        await log.close()
        again = await SqliteLog.open(folder, clock=clock)
        await again.discard([discard(clock, source=1, at=clock.now + 1_000)])
        look = EventLookup(folder)
        assert len(look.discards(1_000, source=1)) == SAMPLES
        assert look.discards(1, source=1)[0].at == clock.now + 1_000
        assert [one.source for one in look.discards(1_000, source=2)] == [2]
        await again.close()

    asyncio.run(run())


def test_samples_are_found_by_source_code_and_time_and_never_without_a_bound(folder: Path, clock: Clock) -> None:
    async def run() -> None:
        log = await SqliteLog.open(folder, clock=clock)
        for number in range(3):
            await log.discard([discard(clock, f"code-{number}", source=1, at=clock.now + number)])
        look = EventLookup(folder)
        assert [one.code for one in look.discards(10)] == ["code-2", "code-1", "code-0"]
        assert [one.code for one in look.discards(10, code="code-1")] == ["code-1"]
        assert [one.code for one in look.discards(10, before=clock.now + 1)] == ["code-0"]
        assert look.discards(10, source=2) == look.discards(10, segments=0) == []
        for source in range(RINGS * 2):
            await log.discard([discard(clock, "code-0", source=source)])
        for number in range(CODES * 2):
            await log.discard([discard(clock, f"other-{number}")])
        found = look.discards(10_000)
        assert len({(one.code, one.source) for one in found}) <= RINGS
        await log.close()

    asyncio.run(run())
