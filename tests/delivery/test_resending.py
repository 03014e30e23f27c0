"""Dead letters that are sent again."""

import asyncio
from pathlib import Path

from milonga.eventlog.api import Position
from milonga.outcomes.model import State
from milonga.workspace.delivery_settings import DeliverySettings
from milonga.workspace.model import DestinationState
from tests.delivery.faketime import FakeTimeLoop
from tests.delivery.road import OK, Road, answer, run, states

ON, OFF, PAUSED = DestinationState.on, DestinationState.off, DestinationState.paused


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
        road = Road(folder, loop, lambda n: answer(400), delivery=DeliverySettings(max_age=60))
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
        road = Road(folder, loop, lambda n: answer(400) if n % 4 == 0 else OK, delivery=DeliverySettings(concurrency=4))
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
