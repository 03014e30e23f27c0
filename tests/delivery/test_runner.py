"""What becomes of an event, told one rule at a time. The simulation beside it mixes them all."""

import asyncio
from pathlib import Path

import apsw
import msgspec
import pytest

from milonga.delivery.limits import Limits
from milonga.delivery.outgoing import NoAnswer, Reply
from milonga.delivery.retry import Backoff
from milonga.destinations.contract import Answer, Ending, Key
from milonga.eventlog.api import Damaged, Position
from milonga.outcomes.model import State
from milonga.spec.event import Event
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.faketime import NOON, FakeThread, FakeTimeLoop
from tests.delivery.road import LATENCY, OK, Road, answer, run, states

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused

LOST = NoAnswer("connection_lost", "Lost.", perhaps=True)


# Endings


def test_a_dead_letter_frees_its_line_and_says_why(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400) if n == 0 else OK)
        for n in range(3):
            road.add(n)
        await road.until(lambda: states(road) == [State.dead, State.delivered, State.delivered])
        assert road.sent == [0, 1, 2]
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        assert letter.code == "http_400"
        assert "400" in letter.reason
        outcome = road.outcome(1)
        assert outcome is not None
        assert (outcome.attempts, outcome.code) == (1, "http_400")
        await road.stop()

    run(tmp_path, live)


def test_one_refused_event_among_others_that_pass_is_a_dead_letter_and_nothing_is_paused(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(403) if n == 2 else OK)
        for n in range(6):
            road.add(n, user=f"u{n}")
        await road.until(lambda: None not in states(road))
        assert states(road) == [State.dead if n == 2 else State.delivered for n in range(6)]
        assert road.config.state is ON
        await road.stop()

    run(tmp_path, live)


def test_perhaps_delivered_is_counted_apart_from_attempts(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        replies: list[Reply] = [LOST, answer(503), OK]
        road = Road(folder, loop, lambda n: replies[len(road.sent) - 1])
        road.add(0)
        await road.until(lambda: states(road) == [State.delivered])
        outcome = road.outcome(1)
        assert outcome is not None
        assert (outcome.attempts, outcome.perhaps) == (2, 1)
        tries = road.outcomes.attempts(Position(0, 1), 7)
        assert [(tried.code, tried.perhaps) for tried in tries] == [
            ("connection_lost", True),
            ("http_503", False),
            ("", False),
        ]
        await road.stop()

    run(tmp_path, live)


def test_a_translation_or_a_judgement_that_raises_costs_only_its_own_event(tmp_path: Path) -> None:
    def judge(given: Answer, now: float) -> Ending:
        if given.status == 418:
            raise ZeroDivisionError
        return paper.DESTINATION.judge(given, now)

    def keys(event: Event, _settings: object) -> tuple[Key, ...]:
        if event.received["n"] == 3:
            raise ZeroDivisionError
        return paper.keys(event)

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        kind = msgspec.structs.replace(paper.DESTINATION, judge=judge, keys=keys)
        road = Road(folder, loop, lambda n: answer(418) if n == 2 and road.sent.count(2) < 3 else OK, kind=kind)
        road.add(0)
        road.add(1, fail=True)
        road.add(2, user="bo")
        road.add(3)
        road.add(4)
        await road.until(lambda: None not in states(road))
        assert states(road) == [State.delivered, State.dead, State.delivered, State.dead, State.delivered]
        codes = [outcome.code for n in (2, 4) if (outcome := road.outcome(n))]
        assert codes == ["translate_failed", "unreadable"]
        await road.stop()

    run(tmp_path, live)


def test_a_damaged_record_is_named_and_passed_by(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        road.add(0)
        road.log.events[0][0] = Damaged(Position(0, 1), "checksum")
        road.add(1)
        await road.until(lambda: states(road) == [State.dead, State.delivered])
        await road.stop()

    run(tmp_path, live)


@pytest.mark.parametrize("resolution", [1e-6, 0.01])
def test_a_retry_goes_out_when_its_time_has_come_also_by_a_coarse_clock(tmp_path: Path, resolution: float) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        loop.clock = lambda: NOON + loop.time() // resolution * resolution  # type: ignore[method-assign]
        road = Road(folder, loop, lambda n: answer(503) if len(road.sent) < 6 else OK)
        road.add(0)
        for tries in range(1, 6):
            await road.until(lambda: len(road.sent) == tries, seconds=20)  # noqa: B023
            await asyncio.sleep(LATENCY + 0.02)
            found = road.reader.progress(7, Position(0, 1))
            assert found is not None
            late = len(road.sent) == tries  # the dice may have let it go at once
            await road.until(lambda: len(road.sent) > tries, seconds=20)  # noqa: B023
            assert not late or abs(loop.time() - (found.due_at / 1000 - NOON)) <= 0.03
        await road.until(lambda: states(road) == [State.delivered])
        await road.stop()

    run(tmp_path, live)


def test_a_receiver_that_fails_twice_for_every_event_delays_them_by_seconds(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(500) if road.sent.count(n) < 3 else OK)
        for n in range(60):
            road.add(n, f"a{n % 3}", f"u{n % 10}")
        await road.until(lambda: states(road) == [State.delivered] * 60, seconds=10)
        assert len(road.sent) == 180
        await road.stop()

    run(tmp_path, live)


# Several requests of one event


def test_a_part_that_was_delivered_is_not_sent_again_after_a_later_one_failed(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503) if len(road.sent) in (2, 3) else OK)
        road.add(0, parts=3)
        road.add(1)
        await road.until(lambda: states(road) == [State.delivered] * 2)
        assert road.parts == [
            (0, "part-0"),
            (0, "part-1"),
            (0, "part-1"),
            (0, "part-1"),
            (0, "part-2"),
            (1, "part-0"),
        ]
        await road.stop()

    run(tmp_path, live)


def test_a_pause_between_two_parts_holds_the_second_back(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        road.add(0, parts=2)
        await road.until(lambda: road.flying == 1)
        road.change(PAUSED)
        await asyncio.sleep(10)
        assert road.parts == [(0, "part-0")]
        assert road.work.slots == 0
        road.change(ON)
        await road.until(lambda: states(road) == [State.delivered])
        assert road.parts == [(0, "part-0"), (0, "part-1")]
        await road.stop()

    run(tmp_path, live)


# Age, on, off


def test_an_event_that_cannot_be_delivered_in_time_expires_in_memory_and_on_disk(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), Limits(lane=2), delivery=DeliverySettings(max_age=100))
        for n in range(5):
            road.add(n)
        road.add(5, "other")
        await road.until(lambda: None not in states(road), seconds=110)
        assert {(o.state, o.code) for n in range(1, 7) if (o := road.outcome(n))} == {(State.expired, "too_old")}
        assert loop.time() > 99
        await road.stop()

    run(tmp_path, live)


def test_age_stands_still_while_paused_but_nothing_is_kept_for_ever(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=Limits(pinned=600_000), delivery=DeliverySettings(max_age=60))
        road.add(0)
        road.change(PAUSED)
        await asyncio.sleep(500)
        assert states(road) == [None]
        road.add(1, user="bo")
        await road.until(lambda: states(road) == [State.expired, None], seconds=110)
        road.change(ON)
        await road.until(lambda: states(road) == [State.expired, State.delivered], seconds=10)
        await road.stop()

    run(tmp_path, live)


def test_switching_off_ends_thousands_of_parked_events_within_five_seconds(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), Limits(lane=5))
        for n in range(3_000):
            road.add(n, user=f"u{n % 7}")
        await road.until(lambda: road.reader.parked_count(7) == 3_000)
        road.change(OFF)
        for n in range(3_000, 3_010):
            road.add(n)
        await road.until(lambda: road.reader.parked_count(7) == 0, seconds=5)
        await asyncio.sleep(2)
        assert road.outcomes.totals() == {(7, State.skipped, "destination_off"): 3_000}
        assert not list(road.reader._db.execute("SELECT * FROM progress"))
        road.answer = lambda n: OK
        road.change(ON)
        road.add(5_000)
        await road.until(lambda: road.delivered == [5_000], seconds=5)
        await road.stop()

    run(tmp_path, live)


def test_off_and_on_again_before_anyone_looked_ends_what_waited_all_the_same(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), Limits(lane=3))
        for n in range(10):
            road.add(n)
        road.add(10, "other")
        await road.until(lambda: road.reader.parked_count(7) == 10)
        off = paper.change(OFF, road.now(), end=road.log.ends())
        road.config = msgspec.structs.replace(road.config, changes=(*road.config.changes, off))
        road.answer = lambda n: OK
        road.change(ON)
        road.add(11)
        await road.until(lambda: None not in states(road), seconds=5)
        assert states(road) == [State.skipped] * 11 + [State.delivered]
        await road.stop()

    run(tmp_path, live)


# The life of a runner


def test_stopping_lets_what_is_under_way_finish_and_takes_no_more(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, delivery=DeliverySettings(concurrency=3))
        for n in range(10):
            road.add(n, f"account-{n}")
        await road.until(lambda: road.flying == 3)
        await road.stop(grace=5.0)
        assert loop.time() < 4.0, "no longer than needed"
        assert road.sent == [0, 1, 2]
        assert states(road) == [State.delivered] * 3 + [None] * 7
        again = Road(folder, loop, log=road.log)
        await again.until(lambda: states(again) == [None] * 3 + [State.delivered] * 7)
        assert again.sent == list(range(3, 10))
        await again.stop()

    run(tmp_path, live)


def test_a_hanging_request_is_not_waited_for_beyond_the_grace(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        road.latency = 30.0
        road.add(0)
        await road.until(lambda: road.flying == 1)
        await road.stop(grace=2.0)
        assert 2.0 <= loop.time() < 5.0

    run(tmp_path, live)


def test_what_should_not_have_happened_ends_the_run_loudly(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)

        def broken(now: float) -> None:
            raise ZeroDivisionError

        road.work.line_up.wake = broken  # type: ignore[method-assign]
        road.add(0)
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(5):
                await road.running
        await road.runner.stop(0.0)
        await road.recorder.close()
        road.reader.close()

    run(tmp_path, live)


def test_a_disk_that_refuses_for_a_while_stops_sending_and_loses_nothing(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        full = [True]
        thread = FakeThread(lambda: 0.002, lambda: apsw.FullError("full") if full[0] else None)
        road = Road(folder, loop, delivery=DeliverySettings(concurrency=4), thread=thread)
        for n in range(100):
            road.add(n, f"account-{n}")
        await asyncio.sleep(30)
        assert len(road.sent) == 4, "what cannot be recorded holds its slot"
        assert road.recorder.trouble == "FullError: full"
        full[0] = False
        await road.until(lambda: states(road) == [State.delivered] * 100)
        await road.until(lambda: road.recorder.trouble is None, seconds=1)
        assert road.sent == list(range(100))
        await road.stop()

    run(tmp_path, live)


def test_two_partitions_are_read_side_by_side(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        log = paper.ListLog(partitions=2)
        road = Road(folder, loop, lambda n: answer(503) if n % 2 and loop.time() < 60 else OK, log=log)
        for n in range(200):
            log.add(paper.event(n, f"a{n % 2}", f"u{n % 6}", received_at=road.now()), partition=n % 2)
        await road.until(lambda: len(road.delivered) == 100, seconds=10)
        assert {n % 2 for n in road.delivered} == {0}
        await road.until(lambda: len(road.delivered) == 200, seconds=300)
        await asyncio.sleep(2)
        assert [road.reader.position(7, partition) for partition in (0, 1)] == [100, 100]
        await road.stop()

    run(tmp_path, live)


def test_events_without_keys_wait_for_nobody(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        slow = Limits(backoff=Backoff(first=100.0))
        road = Road(folder, loop, lambda n: answer(503) if n == 0 else OK, slow)
        for n in range(10):
            road.add(n, account=None, user=None)
        await road.until(lambda: len(road.delivered) == 9, seconds=2)
        await road.stop()

    run(tmp_path, live)


def test_events_of_other_sources_leave_no_trace(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop)
        for n in range(10):
            road.add(n, source=paper.OTHER_SOURCE if n % 2 else paper.SOURCE)
        await road.until(lambda: road.reader.position(7, 0) == 10)
        assert road.delivered == [0, 2, 4, 6, 8]
        assert states(road) == [State.delivered, None] * 5
        await road.stop()

    run(tmp_path, live)
