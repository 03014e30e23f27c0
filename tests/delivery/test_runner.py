"""What becomes of an event, told one rule at a time. The simulation beside it mixes them all."""

import asyncio
from pathlib import Path

import apsw
import msgspec
import pytest

from milonga.delivery.limits import Limits
from milonga.delivery.outgoing import NoAnswer, Reply
from milonga.delivery.retry import Backoff
from milonga.delivery.rows import Parked
from milonga.destinations.contract import Answer, Ending, Key
from milonga.eventlog.api import Damaged, Position
from milonga.outcomes.model import State
from milonga.spec.event import Event
from milonga.workspace.model import DestinationState
from tests.delivery import paper
from tests.delivery.faketime import NOON, FakeThread, FakeTimeLoop
from tests.delivery.road import LATENCY, OK, Road, answer, run

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused
LOST = NoAnswer("connection_lost", "Lost.", perhaps=True)


def states(road: Road) -> list[State | None]:
    """Of the log's events, in order; None while there is no outcome."""
    found = [road.outcome(offset) for offset in range(1, road.log.ends()[0] + 1)]
    return [outcome.state if outcome is not None else None for outcome in found]


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


def test_three_refusals_of_different_keys_pause_and_new_settings_resume_without_loss(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(401))
        for n in range(10):
            road.add(n, user=f"u{n}")
        await road.until(lambda: road.config.state is PAUSED)
        assert road.config.changes[-1].by == "settings"
        assert "401" in road.config.changes[-1].reason
        seen = len(road.sent)
        await asyncio.sleep(30)
        assert len(road.sent) == seen
        road.answer = lambda n: OK
        road.config = msgspec.structs.replace(road.config, settings_version=2, settings=paper.Settings("new"))
        road.change(ON)
        await road.until(lambda: states(road) == [State.delivered] * 10)
        assert all(o.settings_version == 2 for n in range(1, 11) if (o := road.outcome(n)))
        await road.stop()

    run(tmp_path, live)


def test_the_only_account_that_sends_pauses_after_three_attempts_of_its_first_event(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(401))
        for n in range(5):
            road.add(n)
        await road.until(lambda: road.config.state is PAUSED, seconds=10)
        assert road.sent == [0, 0, 0]
        await road.stop()

    run(tmp_path, live)


def test_a_paused_destination_is_asked_once_a_minute_and_comes_back_by_itself(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(401))
        for n in range(5):
            road.add(n, user=f"u{n}")
        await road.until(lambda: road.config.state is PAUSED)
        seen, before = len(road.sent), loop.time()
        await asyncio.sleep(305)
        assert len(road.sent) - seen == 5
        road.answer = lambda n: OK
        await road.until(lambda: states(road) == [State.delivered] * 5, seconds=62)
        assert road.config.changes[-1].by == "probe"
        outcomes = [o for n in range(1, 6) if (o := road.outcome(n))]
        assert all(outcome.attempts <= 3 for outcome in outcomes), "probes consume no attempts"
        assert loop.time() > before
        await road.stop()

    run(tmp_path, live)


@pytest.mark.parametrize("lane", [100, 2])
def test_a_destination_that_was_paused_before_a_start_is_probed_at_once_and_then_once_a_minute(
    tmp_path: Path, lane: int
) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        first = Road(folder, loop, lambda n: answer(401), Limits(lane=lane))
        for n in range(5):
            first.add(n)
        await first.until(lambda: first.config.state is PAUSED)
        await first.stop(0.0)
        road = Road(folder, loop, lambda n: answer(401), log=first.log, config=first.config)
        await road.until(lambda: road.sent == [0], seconds=3)
        await asyncio.sleep(58)
        assert road.sent == [0]
        await road.until(lambda: road.sent == [0, 0], seconds=3)
        await road.stop(0.0)
        again = Road(folder, loop, log=first.log, config=road.config)
        await again.until(lambda: states(again) == [State.delivered] * 5, seconds=5)
        await again.stop()

    run(tmp_path, live)


def test_an_event_that_alone_is_refused_does_not_keep_the_destination_paused(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        limits = Limits(lane=1)
        first = Road(folder, loop, lambda n: answer(401), limits)
        for n in range(20):
            first.add(n, user=f"u{n // 5}")
        await first.until(lambda: first.config.state is PAUSED and first.reader.parked_count(7) == 20)
        await first.stop(0.0)
        road = Road(folder, loop, lambda n: answer(403) if n == 0 else OK, limits, log=first.log, config=first.config)
        await road.until(lambda: road.config.state is ON, seconds=200)
        await road.until(lambda: None not in states(road))
        assert states(road) == [State.dead] + [State.delivered] * 19
        await road.stop()

    run(tmp_path, live)


def test_a_probe_finds_an_event_also_when_all_of_them_are_on_disk(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        limits = Limits(lane=2)
        first = Road(folder, loop, lambda n: answer(503), limits)
        for n in range(20):
            first.add(n)
        await first.until(lambda: first.reader.parked_count(7) == 20)
        await first.stop(0.0)
        paused = paper.change(PAUSED, first.now(), "settings", "401")
        config = msgspec.structs.replace(first.config, changes=(*first.config.changes, paused))
        road = Road(folder, loop, limits=limits, log=first.log, config=config)
        await road.until(lambda: states(road) == [State.delivered] * 20, seconds=5)
        assert road.delivered == list(range(20))
        await road.stop()

    run(tmp_path, live)


def test_refusals_that_come_back_after_the_pause_make_no_dead_letters_when_a_probe_succeeds(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(401))
        for n in range(64):
            road.add(n, user=f"u{n}")
        await road.until(lambda: road.config.state is PAUSED)
        road.answer = lambda n: OK
        await road.until(lambda: states(road) == [State.delivered] * 64, seconds=70)
        await road.stop()

    run(tmp_path, live)


def test_half_of_a_hundred_dead_letters_pause_instead_of_filling_the_drawer(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400), Limits(in_flight=4))
        for n in range(500):
            road.add(n, user=f"u{n}")
        await road.until(lambda: road.config.state is PAUSED)
        await asyncio.sleep(1)
        assert 100 <= road.reader.dead_count(7) <= 104
        assert "Half of the last 100" in road.config.changes[-1].reason
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


# Parking


def test_an_event_parked_while_it_is_under_way_is_sent_once_and_its_line_goes_on(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=Limits(lane=2))
        for n in range(10):
            road.add(n)
        await asyncio.sleep(LATENCY / 2)
        assert road.flying == 1
        assert road.reader.parked_count(7) == 10, "the one under way too"
        await road.until(lambda: states(road) == [State.delivered] * 10)
        assert road.sent == list(range(10))
        await road.until(lambda: road.reader.parked_count(7) == 0, seconds=1)
        await road.stop()

    run(tmp_path, live)


def test_a_line_that_fails_for_long_goes_to_disk_and_frees_the_watermark(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503) if n < 5 and loop.time() < 100 else OK)
        for n in range(5):
            road.add(n)
        for n in range(5, 50):
            road.add(n, f"account-{n}")
        await asyncio.sleep(20)
        assert road.reader.position(7, 0) == 0
        await road.until(lambda: road.reader.position(7, 0) == 50, seconds=40)
        assert road.reader.parked_count(7) == 5
        await road.until(lambda: road.reader.parked_count(7) == 0, seconds=600)
        assert [n for n in road.delivered if n < 5] == [0, 1, 2, 3, 4]
        await road.stop()

    run(tmp_path, live)


def test_an_event_given_back_waits_on_disk_for_its_time_and_no_longer(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        waits: dict[int, Reply] = {0: answer(503, retry_after="60"), 1: answer(503)}
        road = Road(folder, loop, lambda n: waits.get(road.sent.count(n) - 1, OK) if n == 0 else OK, Limits(lane=2))
        for n in range(6):
            road.add(n)
        await asyncio.sleep(59)
        assert road.sent == [0]
        assert not road.work.line_up, "nothing of it is left in memory"
        await road.until(lambda: states(road) == [State.delivered] * 6, seconds=5)
        assert road.sent == [0, 0, 0, 1, 2, 3, 4, 5]
        await road.stop()

    run(tmp_path, live)


def test_a_parked_event_whose_bytes_left_the_log_says_so(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(503), Limits(lane=2))
        for n in range(5):
            road.add(n)
        await road.until(lambda: road.reader.position(7, 0) == 5)
        road.log.trimmed = 3
        road.answer = lambda n: OK
        await road.until(lambda: road.reader.parked_count(7) == 0, seconds=400)
        found = [(o.state, o.code) for n in range(2, 6) if (o := road.outcome(n))]
        assert found == [(State.expired, "log_trimmed")] * 2 + [(State.delivered, "")] * 2
        await road.stop()

    run(tmp_path, live)


def spoil(road: Road, operation: str, offset: int) -> None:
    """This operation of the store raises for this event, whenever it is tried."""
    store = road.recorder._store
    usual = getattr(store, operation)

    def broken(number: int, what: Position | Parked, *rest: object) -> None:
        position = what.position if isinstance(what, Parked) else what
        if position.offset == offset:
            raise ZeroDivisionError
        usual(number, what, *rest)

    setattr(store, operation, broken)


def test_an_event_that_can_never_be_parked_ends_as_a_dead_letter_and_holds_up_nobody(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=Limits(lane=2))
        spoil(road, "park", 5)
        for n in range(10):
            road.add(n)
        await road.until(lambda: None not in states(road))
        assert states(road) == [State.dead if n == 4 else State.delivered for n in range(10)]
        outcome = road.outcome(5)
        assert outcome is not None
        assert outcome.code == "cannot_park"
        assert road.delivered == [n for n in range(10) if n != 4]
        await asyncio.sleep(2)
        assert road.reader.position(7, 0) == 10
        road.add(10)
        await road.until(lambda: road.delivered[-1] == 10)
        letter = road.reader.dead(7, Position(0, 5))
        assert letter is not None
        assert road.runner.resend(letter)
        await asyncio.sleep(2)
        assert road.reader.dead_count(7) == 1, "nor can it be resent, but it is not lost"
        assert road.runner._parking.lines.count == 0
        await road.stop()

    run(tmp_path, live)


def test_an_event_under_way_that_can_never_be_parked_is_delivered_and_holds_the_watermark_until_then(
    tmp_path: Path,
) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, limits=Limits(lane=2))
        road.latency = 5.0
        spoil(road, "park", 1)
        road.add(0)
        await road.until(lambda: road.flying == 1)
        for n in range(1, 5):
            road.add(n)
        await asyncio.sleep(3)
        assert (road.reader.parked_count(7), road.reader.position(7, 0)) == (4, 0)
        road.latency = LATENCY
        await road.until(lambda: states(road) == [State.delivered] * 5)
        assert road.sent == list(range(5))
        await asyncio.sleep(2)
        assert road.reader.position(7, 0) == 5
        await road.stop()

    run(tmp_path, live)


@pytest.mark.parametrize("lane", [100, 2])
def test_an_event_whose_progress_can_never_be_written_is_tried_again_all_the_same(tmp_path: Path, lane: int) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        up = 20.0
        road = Road(folder, loop, lambda n: OK if n or loop.time() > up else answer(503), Limits(lane=lane))
        spoil(road, "set_progress", 1)
        for n in range(5):
            road.add(n)
        await asyncio.sleep(up)
        assert 3 <= len(road.sent) <= 20, "not without a wait"
        await road.until(lambda: states(road) == [State.delivered] * 5)
        assert road.sent[-5:] == list(range(5))
        await asyncio.sleep(2)
        assert (road.reader.parked_count(7), road.reader.position(7, 0)) == (0, 5)
        await road.stop()

    run(tmp_path, live)


# Resending


def test_a_resent_dead_letter_joins_behind_what_waits_in_its_line(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400) if n == 0 and road.sent.count(0) == 1 else OK)
        road.add(0)
        await road.until(lambda: states(road) == [State.dead])
        await asyncio.sleep(1)
        for n in range(1, 5):
            road.add(n)
        await road.until(lambda: road.flying == 1)
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        assert road.runner.resend(letter)
        assert not road.runner.resend(letter), "once is enough"
        await asyncio.sleep(0.01)
        assert road.reader.dead_count(7) == 0
        road.add(5)
        await road.until(lambda: states(road) == [State.delivered] * 6)
        assert road.sent == [0, 1, 2, 3, 4, 0, 5]
        assert [o.state for o in road.outcomes.of(Position(0, 1))] == [State.delivered, State.dead]
        await road.stop()

    run(tmp_path, live)


def test_a_resend_leaves_out_the_parts_that_were_delivered(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400) if len(road.sent) == 2 else OK)
        road.add(0, parts=3)
        await road.until(lambda: states(road) == [State.dead])
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        road.runner.resend(letter)
        await road.until(lambda: states(road) == [State.delivered])
        assert [part for _, part in road.parts] == ["part-0", "part-1", "part-1", "part-2"]
        await road.stop()

    run(tmp_path, live)


def test_the_age_of_a_resent_event_counts_from_its_resending(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400), Limits(max_age=60_000))
        road.add(0)
        await road.until(lambda: states(road) == [State.dead])
        await asyncio.sleep(600)
        road.answer = lambda n: answer(503) if len(road.sent) < 5 else OK
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        road.runner.resend(letter)
        await road.until(lambda: states(road) == [State.delivered], seconds=59)
        await road.stop()

    run(tmp_path, live)


def test_a_resend_that_is_refused_is_a_dead_letter_again_at_once_and_pauses_nothing(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400))
        road.add(0)
        await road.until(lambda: states(road) == [State.dead])
        road.answer = lambda n: answer(403)
        for times in (1, 2, 3, 4):
            letter = road.reader.dead(7, Position(0, 1))
            assert letter is not None
            before = len(road.sent)
            assert road.runner.resend(letter)
            await asyncio.sleep(30)
            assert len(road.sent) == before + 1
            assert len(road.outcomes.of(Position(0, 1))) == 1 + times
        found = road.outcome(1)
        assert found is not None
        assert (found.state, found.code, found.attempts) == (State.dead, "http_403", 1)
        assert road.reader.dead_count(7) == 1
        assert road.config.state is ON
        await road.stop()

    run(tmp_path, live)


def test_a_resend_refused_during_a_pause_waits_as_the_others_do(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400 if n == 0 else 401))
        road.add(0)
        await road.until(lambda: states(road) == [State.dead])
        for n in range(1, 4):
            road.add(n, user=f"u{n}")
        await road.until(lambda: road.config.state is PAUSED)
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        assert road.runner.resend(letter)
        road.answer = lambda n: answer(401)
        await asyncio.sleep(600)
        assert road.reader.dead_count(7) == 0
        road.answer = lambda n: OK
        await road.until(lambda: states(road) == [State.delivered] * 4, seconds=62)
        await road.stop()

    run(tmp_path, live)


def test_dead_letters_that_are_resent_and_refused_again_do_not_count_towards_half_of_the_last_hundred(
    tmp_path: Path,
) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400) if n % 4 == 0 else OK, Limits(in_flight=4))
        for n in range(100):
            road.add(n, user=f"u{n}")
        await road.until(lambda: None not in states(road))
        assert road.reader.dead_count(7) == 25
        for _ in range(4):
            letters = road.reader.dead_letters(7)
            assert all(road.runner.resend(letter) for letter in letters)
            await asyncio.sleep(30)
            assert road.reader.dead_count(7) == 25
        assert road.sent.count(0) == 5
        assert road.config.state is ON
        await road.stop()

    run(tmp_path, live)


def test_a_destination_that_is_off_takes_no_resend(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        road = Road(folder, loop, lambda n: answer(400))
        road.add(0)
        await road.until(lambda: states(road) == [State.dead])
        road.change(OFF)
        letter = road.reader.dead(7, Position(0, 1))
        assert letter is not None
        assert not road.runner.resend(letter)
        await asyncio.sleep(5)
        assert road.reader.dead_count(7) == 1
        await road.stop()

    run(tmp_path, live)


# Age, on, off


def test_an_event_that_cannot_be_delivered_in_time_expires_in_memory_and_on_disk(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        limits = Limits(max_age=100_000, lane=2)
        road = Road(folder, loop, lambda n: answer(503), limits)
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
        road = Road(folder, loop, limits=Limits(max_age=60_000, pinned=600_000))
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
        road = Road(folder, loop, limits=Limits(in_flight=3))
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
        road = Road(folder, loop, limits=Limits(in_flight=4), thread=thread)
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
