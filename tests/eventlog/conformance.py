"""
What every event log promises. An engine passes by subclassing `Conformance` with a fixture `engine`.
"""

import asyncio

import pytest
from msgspec import Raw

from milonga.eventlog.api import START, Damaged, Duplicate, Passing, Position, Stored

from .parts import HOUR, Engine, Events, event_of, events_of, offsets, opened, read_all, skimmed


class Conformance:
    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError

    @pytest.fixture
    def make(self, engine: Engine) -> Events:
        return Events(engine.clock)

    def test_an_event_is_read_back_as_it_was_appended(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            event = make.one(
                message_id="é-\u0000-\U0001f600",
                user_id=None,
                anonymous_id="a'b\"c",
                original_timestamp="yesterday",
                sent_at="2026-11-22T10:00:00Z",
                batch_context=Raw(b'{ "groupId":"acme"}'),
                batch_integrations=Raw(b'{"All": false}'),
                body=b'{"type": "track", "event":"\xc3\xa9",  "n": 1e3}\n',
            )
            async with opened(engine) as log:
                (position,) = await log.append([event])
                assert position == Position(0, 1)
                assert await log.read(0, START, 10) == [Stored(position, event)]

        asyncio.run(run())

    def test_a_new_log_is_empty(self, engine: Engine) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                assert await log.end(0) == START
                assert await log.begin(0) == 1
                assert await log.read(0, START, 10) == []
                assert await log.append([]) == []
                assert log.assignments("delivery") == [0]

        asyncio.run(run())

    def test_appends_are_read_in_order_and_without_gaps_across_segments(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            batches = [make.some(7) for _ in range(engine.segment)]
            async with opened(engine) as log:
                for batch in batches:
                    await log.append(batch)
                found = await read_all(log, limit=5)
                assert events_of(found) == [event for batch in batches for event in batch]
                assert offsets(found) == list(range(1, 7 * engine.segment + 1))
                assert await log.end(0) == 7 * engine.segment

        asyncio.run(run())

    def test_appends_at_once_keep_the_order_of_each_caller(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:

                async def caller(account: str) -> list[Position]:
                    return [(await log.append([make.one(account=account)]))[0] for _ in range(20)]

                names = [f"account-{number}" for number in range(10)]
                answers = await asyncio.gather(*(caller(name) for name in names))
                for positions in answers:
                    assert positions == sorted(positions)
                found = await read_all(log)
                assert offsets(found) == list(range(1, 201))
                for name, positions in zip(names, answers, strict=True):
                    assert [one.position for one in found if event_of(one).stamp.account == name] == positions

        asyncio.run(run())

    def test_appends_sent_together_without_waiting_keep_their_order(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                waiting = [asyncio.ensure_future(log.append(make.some(2))) for _ in range(50)]
                answers = await asyncio.gather(*waiting)
                assert [place.offset for answer in answers for place in answer] == list(range(1, 101))

        asyncio.run(run())

    def test_an_event_that_cannot_be_written_spoils_only_its_own_append(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                bad = make.one(user_id="\ud800")
                good, refused = make.some(3), [make.one(), bad]
                answers = await asyncio.gather(log.append(good), log.append(refused), return_exceptions=True)
                assert answers[0] == [Position(0, 1), Position(0, 2), Position(0, 3)]
                assert isinstance(answers[1], ValueError)
                assert await log.end(0) == 3

        asyncio.run(run())

    # Duplicates

    def test_within_a_request_the_first_copy_wins(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                first, copy, other = make.one("m"), make.one("m"), make.one("n")
                answers = await log.append([first, copy, other])
                assert answers == [Position(0, 1), Duplicate(Position(0, 1)), Position(0, 2)]
                assert events_of(await read_all(log)) == [first, other]

        asyncio.run(run())

    def test_a_later_copy_names_the_first(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                await log.append([make.one("m")])
                assert await log.append([make.one("m")]) == [Duplicate(Position(0, 1))]
                assert await log.end(0) == 1

        asyncio.run(run())

    def test_of_copies_in_flight_one_is_kept_and_the_others_name_it(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                answers = await asyncio.gather(*(log.append([make.one(f"m{n % 10}")]) for n in range(100)))
                kept = {answer[0] for answer in answers if isinstance(answer[0], Position)}
                named = {answer[0].first for answer in answers if isinstance(answer[0], Duplicate)}
                assert len(kept) == 10
                assert named == kept
                assert await log.end(0) == 10

        asyncio.run(run())

    def test_a_copy_is_known_after_a_restart_in_every_segment(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            count = engine.segment * 3 + 2
            async with opened(engine) as log:
                for number in range(count):
                    await log.append([make.one(f"m{number}")])
            for _ in range(2):
                async with opened(engine) as log:
                    copies = [make.one(f"m{number}") for number in range(count)]
                    expected = [Duplicate(Position(0, number + 1)) for number in range(count)]
                    assert await log.append(copies) == expected
                    assert await log.end(0) == count

        asyncio.run(run())

    def test_a_copy_is_a_duplicate_for_a_day(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                await log.append([make.one("m")])
                engine.clock.now += 24 * HOUR - 1
                assert await log.append([make.one("m")]) == [Duplicate(Position(0, 1))]
                engine.clock.now += 1
                assert await log.append([make.one("m")]) == [Position(0, 2)]
                engine.clock.now += 24 * HOUR - 1
                assert await log.append([make.one("m")]) == [Duplicate(Position(0, 2))]

        asyncio.run(run())

    def test_a_copy_is_a_duplicate_for_a_day_across_restarts(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                await log.append([make.one("m"), *make.some(engine.segment * 2)])
            engine.clock.now += 24 * HOUR - 1
            async with opened(engine) as log:
                assert await log.append([make.one("m")]) == [Duplicate(Position(0, 1))]
            engine.clock.now += 1
            async with opened(engine) as log:
                (again,) = await log.append([make.one("m")])
                assert isinstance(again, Position)

        asyncio.run(run())

    def test_without_a_message_id_of_its_sender_nothing_is_a_duplicate(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                ours = make.one("m", own_message_id=False)
                assert await log.append([ours, ours]) == [Position(0, 1), Position(0, 2)]
                assert await log.append([ours, make.one("m")]) == [Position(0, 3), Position(0, 4)]
                assert await log.append([make.one("m"), ours]) == [Duplicate(Position(0, 4)), Position(0, 5)]
            async with opened(engine) as log:
                assert await log.append([ours, make.one("m")]) == [Position(0, 6), Duplicate(Position(0, 4))]

        asyncio.run(run())

    def test_the_same_id_at_another_source_is_no_duplicate(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                assert await log.append([make.one("m"), make.one("m", source=2)]) == [Position(0, 1), Position(0, 2)]
                assert await log.append([make.one("m", source=3)]) == [Position(0, 3)]
                await log.append(make.some(engine.segment * 2))
                assert await log.append([make.one("m", source=2)]) == [Duplicate(Position(0, 2))]
                (other,) = await log.append([make.one("m", source=4)])
                assert isinstance(other, Position)

        asyncio.run(run())

    # Readers

    def test_wait_answers_at_once_if_there_is_something(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                await log.append([make.one()])
                assert await log.wait(0, START, 0)
                assert not await log.wait(0, 1, 0)

        asyncio.run(run())

    def test_wait_returns_when_something_comes(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                waiting = asyncio.ensure_future(log.wait(0, START, 60))
                assert not (await asyncio.wait((waiting,), timeout=0.05))[0]
                await log.append([make.one()])
                assert await asyncio.wait_for(waiting, 20)
                assert not await log.wait(0, 1, 0.05)

        asyncio.run(run())

    def test_what_was_appended_is_there_after_a_restart(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            events = make.some(engine.segment + 3)
            async with opened(engine) as log:
                await log.append(events[:-1])
            async with opened(engine) as log:
                assert await log.append(events[-1:]) == [Position(0, len(events))]
                assert events_of(await read_all(log)) == events

        asyncio.run(run())

    def test_trim_gives_up_whole_segments_and_readers_go_on_behind_them(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                for _ in range(4):
                    await log.append(make.some(engine.segment))
                await log.append([make.one()])
                assert len(await read_all(log)) == engine.segment * 4 + 1
                upto = engine.segment * 2 + 1
                gone = await log.trim(0, upto)
                assert engine.segment <= gone <= upto
                assert await log.begin(0) == gone + 1
                assert offsets(await read_all(log)) == list(range(gone + 1, engine.segment * 4 + 2))
                assert await log.trim(0, 10) == gone
            async with opened(engine) as log:
                assert await log.begin(0) == gone + 1
                assert await log.append([make.one()]) == [Position(0, engine.segment * 4 + 2)]

        asyncio.run(run())

    def test_a_damaged_record_is_named_and_passed_by(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                await log.append([make.one("a"), make.one("b"), make.one("c")])
            engine.damage(2)
            async with opened(engine) as log:
                first, second, third = await read_all(log)
                assert isinstance(first, Stored)
                assert isinstance(second, Damaged)
                assert second.position == Position(0, 2)
                assert "checksum" in second.reason
                assert isinstance(third, Stored)

        asyncio.run(run())

    def test_an_event_whose_first_copy_is_damaged_is_no_duplicate(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                await log.append([make.one("a"), make.one("b")])
            engine.damage(2)
            async with opened(engine) as log:
                assert await log.append([make.one("b"), make.one("a")]) == [Position(0, 3), Duplicate(Position(0, 1))]

        asyncio.run(run())

    def test_skimming_counts_what_is_passed_by_and_reads_the_rest_in_order(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                accounts = [f"other-{n}" if n % 5 == 0 else "hot" for n in range(engine.segment * 3 + 2)]
                for account in accounts:
                    await log.append([make.one(account=account)])
                pages = [page async for page in skimmed(log, Passing(1, {"hot", "unheard of"}, frozenset()))]
                found = [event_of(item).stamp.account for page in pages for item in page.items]
                passed = sum(page.passed.get("hot", 0) for page in pages)
                assert [one for one in found if one != "hot"] == [one for one in accounts if one != "hot"]
                assert passed + found.count("hot") == accounts.count("hot")
                assert passed > len(accounts) // 2

        asyncio.run(run())

    def test_only_what_surely_belongs_to_those_passed_by_is(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                await log.append(
                    [
                        make.one("passed", account="hot"),
                        make.one("passed, too", account=None, user_id="hot"),
                        make.one("of another source", account="hot", source=2),
                        make.one("of a type that is read", account="hot", type="group"),
                        make.one("of an account of that user", account="acme", user_id="hot"),
                        make.one("of nobody", account=None, user_id=None, anonymous_id="hot"),
                        make.one("of a batch", account="hot", batch_context=Raw(b'{"x":1}')),
                        make.one("with case", account="Hot"),
                        make.one("passed last", account="hot", type="page"),
                    ]
                )
                page = await log.skim(0, START, 100, 100, Passing(1, {"hot"}, {"group"}))
                assert page is not None
                assert page.passed == {"hot": 4}
                assert [event_of(item).stamp.message_id for item in page.items] == [
                    "of another source",
                    "of a type that is read",
                    "of an account of that user",
                    "of nobody",
                    "with case",
                ]
                assert page.upto == 9
                assert await log.skim(0, 9, 100, 100, Passing(1, {"hot"}, {"group"})) is None

        asyncio.run(run())

    def test_a_damaged_record_is_passed_by_or_named(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            async with opened(engine) as log:
                await log.append([make.one(account=account) for account in ("hot", "acme", "hot", "acme", "hot")])
            engine.damage(3)
            engine.damage(4)
            async with opened(engine) as log:
                pages = [page async for page in skimmed(log, Passing(1, {"hot"}, frozenset()))]
                found = [item for page in pages for item in page.items]
                damaged = [item.position.offset for item in found if isinstance(item, Damaged)]
                assert 4 in damaged
                assert set(damaged) <= {3, 4}
                assert len(found) + sum(sum(page.passed.values()) for page in pages) == 5

        asyncio.run(run())

    def test_after_close_nothing_is_taken(self, engine: Engine, make: Events) -> None:
        async def run() -> None:
            log = await engine.open()
            under_way = asyncio.ensure_future(log.append(make.some(3)))
            await asyncio.sleep(0)
            await log.close()
            await log.close()
            assert await under_way == [Position(0, 1), Position(0, 2), Position(0, 3)]
            with pytest.raises(Exception, match="closed"):
                await log.append([make.one()])

        asyncio.run(run())
