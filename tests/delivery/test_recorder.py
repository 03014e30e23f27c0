import asyncio
from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec

from milonga.delivery.recorder import AT_ONCE, NOT_RECORDED, Record, Recorder
from milonga.delivery.rows import Progress
from milonga.delivery.store import DeliveryStore
from milonga.delivery.store_reader import DeliveryReader
from milonga.eventlog.api import Position
from milonga.outcomes.model import Attempt, Outcome, State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from tests.delivery.faketime import FakeThread, FakeTimeLoop
from tests.delivery.road import run


def outcome(n: int) -> Outcome:
    return Outcome(
        destination=7,
        position=Position(0, n),
        state=State.delivered,
        received_at=1,
        ended_at=2,
        settings_version=1,
    )


def recorder(folder: Path, loop: FakeTimeLoop, thread: FakeThread | None = None) -> Recorder:
    return Recorder(DeliveryStore(folder / "delivery.db"), OutcomeWriter(folder / "outcomes", loop.clock), thread)


def test_callbacks_come_in_order_and_only_once_everything_is_durable(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        it, seen = recorder(folder, loop, FakeThread(lambda: 0.01)), list[int]()
        reader, outcomes = DeliveryReader(folder / "delivery.db"), OutcomeReader(folder / "outcomes")

        def check(n: int) -> None:
            assert reader.progress(7, Position(0, n)) is not None
            assert outcomes.of(Position(0, n))
            seen.append(n)

        for n in range(1, 51):
            it.record(
                Record(
                    before=lambda store, n=n: store.set_progress(7, Position(0, n), Progress()),  # type: ignore[misc]
                    outcome=outcome(n),
                    then=lambda n=n: check(n),  # type: ignore[misc]
                )
            )
            if n % 7 == 0:
                await asyncio.sleep(0.004)
        await it.flush()
        assert seen == list(range(1, 51))
        reader.close()
        await it.close()

    run(tmp_path, live)


def test_what_comes_in_every_turn_of_the_loop_is_written_together_and_told_a_few_at_a_time(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        it, groups, told = recorder(folder, loop, FakeThread(lambda: 0.0)), list[int](), list[int]()
        write = it._outcomes.write
        turns = 0

        def watched(outcomes: Sequence[Outcome], attempts: Sequence[Attempt] = ()) -> None:
            groups.append(len(outcomes))
            write(outcomes, attempts)

        it._outcomes.write = watched  # type: ignore[method-assign]
        for n in range(1, 201):
            it.record(Record(outcome=outcome(n), then=lambda n=n: told.append(n)))  # type: ignore[misc]
            if n % 10 == 0:
                await asyncio.sleep(0)
        for _ in range(1_000):  # turns of the loop: time stands still
            before = len(told)
            await asyncio.sleep(0)
            assert len(told) - before <= AT_ONCE
            turns += before < len(told)
        assert groups == [200]
        assert told == list(range(1, 201))
        assert turns == -(-200 // AT_ONCE)
        await it.close()

    run(tmp_path, live)


def test_what_an_outcome_rests_on_is_durable_before_it(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        thread = FakeThread(lambda: 1.0)
        it = recorder(folder, loop, thread)
        it.record(Record(before=lambda store: store.set_position(7, 0, 5), outcome=outcome(5)))
        await asyncio.sleep(1.5)
        reader = DeliveryReader(folder / "delivery.db")
        assert reader.position(7, 0) == 5
        assert not OutcomeReader(folder / "outcomes").of(Position(0, 5))
        await it.close()
        assert OutcomeReader(folder / "outcomes").of(Position(0, 5))
        reader.close()

    run(tmp_path, live)


def test_while_the_disk_refuses_the_group_is_kept_and_tried_again(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        faults: list[Exception | None] = [apsw.FullError("full"), OSError("no space"), None, apsw.FullError("full")]
        it = recorder(folder, loop, FakeThread(lambda: 0.01, lambda: faults.pop(0) if faults else None))
        done: list[int] = []
        for n in (1, 2):
            it.record(
                Record(
                    before=lambda store, n=n: store.set_position(n, 0, 5),  # type: ignore[misc]
                    outcome=outcome(n),
                    then=lambda n=n: done.append(n),  # type: ignore[misc]
                )
            )
        await asyncio.sleep(0.5)
        assert "full" in str(it.trouble)
        assert done == []
        await it.flush()
        assert done == [1, 2]
        assert it.trouble is None
        assert OutcomeReader(folder / "outcomes").totals() == {(7, State.delivered, ""): 2}
        await it.close()

    run(tmp_path, live)


def test_what_can_never_be_written_holds_up_nothing_else(tmp_path: Path) -> None:
    def broken(store: DeliveryStore) -> None:
        store.set_position(9, 0, 1)
        raise ZeroDivisionError

    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        faults: list[Exception | None] = [None, None, apsw.FullError("full")]
        it = recorder(folder, loop, FakeThread(lambda: 0.01, lambda: faults.pop(0) if faults else None))
        done: list[object] = []
        for n in range(1, 6):
            it.record(
                Record(
                    before=broken if n % 2 else lambda store, n=n: store.set_position(n, 0, 5),  # type: ignore[misc]
                    outcome=outcome(n) if n < 5 else None,
                    then=lambda n=n: done.append(n),  # type: ignore[misc]
                    failed=(lambda error: done.append(type(error))) if n > 2 else None,
                )
            )
        await it.flush()
        assert done == [1, 2, ZeroDivisionError, 4, ZeroDivisionError]
        assert it.trouble is None
        reader = DeliveryReader(folder / "delivery.db")
        assert [reader.position(n, 0) for n in (2, 4, 9)] == [5, 5, None]
        reader.close()
        assert OutcomeReader(folder / "outcomes").totals() == {(7, State.delivered, ""): 4}
        await it.close()

    run(tmp_path, live)


def test_an_outcome_that_can_never_be_written_as_it_is_loses_its_attempts_or_its_code(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        it, done = recorder(folder, loop, FakeThread(lambda: 0.01)), list[int]()
        attempt = Attempt(
            destination=7,
            position=Position(0, 1),
            at=2**70,
            part="",
            code="",
            reason="",
            status=200,
            ms=5,
            perhaps=False,
            answer=b"",
        )
        for n, attempts, code in ((1, [attempt], "c"), (2, [], "half \ud83d"), (3, [], "c"), (4, [attempt], "")):
            ended = None if n == 4 else msgspec.structs.replace(outcome(n), code=code)
            it.record(Record(outcome=ended, attempts=attempts, then=lambda n=n: done.append(n)))  # type: ignore[misc]
        await it.flush()
        assert done == [1, 2, 3, 4]
        outcomes = OutcomeReader(folder / "outcomes")
        assert [found.code for n in range(1, 5) for found in outcomes.of(Position(0, n))] == ["c", NOT_RECORDED, "c"]
        assert outcomes.attempts(Position(0, 1), 7) == []
        await it.close()

    run(tmp_path, live)


def test_a_callback_that_raises_is_reported_and_spoils_no_other(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        it, done = recorder(folder, loop, FakeThread(lambda: 0.01)), list[int]()

        def broken() -> None:
            done.remove(99)

        it.record(Record(then=broken))
        it.record(Record(then=lambda: done.append(1)))
        await it.flush()
        it.record(Record(then=lambda: done.append(2)))
        await it.close()
        assert done == [1, 2]
        assert [type(error) for error in loop.errors] == [ValueError]
        loop.errors.clear()

    run(tmp_path, live)


def test_closing_on_a_full_disk_gives_up_after_a_while(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        full = apsw.FullError("full")
        it, done = recorder(folder, loop, FakeThread(lambda: 0.01, lambda: full)), list[int]()
        it.record(Record(before=lambda store: store.set_position(7, 0, 5), then=lambda: done.append(1)))
        before = loop.time()
        await it.close()
        assert loop.time() - before <= 6.0
        assert done == []
        store = DeliveryStore(folder / "delivery.db")  # nothing holds it, nothing of it is half done
        reader = DeliveryReader(folder / "delivery.db")
        assert reader.position(7, 0) is None
        reader.close()
        store.close()

    run(tmp_path, live)


def test_a_damaged_store_is_told_and_keeps_nobody_from_ending(tmp_path: Path) -> None:
    async def live(folder: Path, loop: FakeTimeLoop) -> None:
        bad = apsw.CorruptError("malformed")
        it = recorder(folder, loop, FakeThread(lambda: 0.01, lambda: bad))
        it.record(Record(before=lambda store: store.set_position(7, 0, 5)))
        await asyncio.sleep(0.5)
        assert it.damage is bad
        before = loop.time()
        await it.close()
        assert loop.time() - before < 0.1

    run(tmp_path, live)
