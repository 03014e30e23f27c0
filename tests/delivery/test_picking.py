"""What a replay reads of the log: all of a stretch, or the places where what it wants may lie."""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from milonga.delivery.picking import LOOKED_THROUGH, Page, Picker, run_of
from milonga.delivery.selection import Selection
from milonga.eventlog.api import Offset, Position, Stored
from milonga.outcomes.model import Outcome, State
from tests.delivery import paper

ALL = Selection(source=paper.SOURCE, since=0, until=2**60)


def log_of(events: int) -> paper.ListLog:
    log = paper.ListLog()
    for n in range(events):
        log.add(paper.event(n))
    return log


class Places:
    """What the outcomes would answer, and what they were asked."""

    def __init__(self, *offsets: Offset) -> None:
        self.offsets, self.asked = sorted(offsets), list[tuple[Offset, Offset]]()

    async def __call__(self, code: str, partition: int, after: Offset, upto: Offset, limit: int) -> list[Offset]:
        assert (code, partition) == ("filter:old", 0)
        self.asked.append((after, upto))
        return [one for one in self.offsets if after < one <= upto][:limit]


def walked(picker: Picker, after: Offset, upto: Offset) -> list[Page]:
    async def walk() -> list[Page]:
        pages, at = list[Page](), after
        while at < upto:
            pages.append(await picker.page(0, at, upto))
            at = pages[-1].upto
        return pages

    return asyncio.run(walk())


def offsets(pages: Sequence[Page]) -> list[Offset]:
    return [item.position.offset for page in pages for item in page.items]


def test_without_a_code_every_event_of_the_stretch_is_read() -> None:
    pages = walked(Picker(log_of(10), ALL, Places(), 4), 2, 9)
    assert offsets(pages) == list(range(3, 10))
    assert [len(page.items) for page in pages] == [4, 3]


def test_with_a_code_only_the_places_that_have_it_are_read() -> None:
    wanted = replace(ALL, code="filter:old")
    pages = walked(Picker(log_of(300), wanted, Places(5, 6, 90, 300), 50), 0, 299)
    assert offsets(pages) == [5, 6, 90]
    assert (pages[-1].upto, sum(page.gone for page in pages)) == (299, 0)


def test_many_that_have_the_code_come_page_by_page() -> None:
    wanted = replace(ALL, code="filter:old")
    pages = walked(Picker(log_of(100), wanted, Places(*range(1, 101)), 8), 0, 100)
    assert offsets(pages) == list(range(1, 101))
    assert {len(page.items) for page in pages} == {8, 4}


def test_a_long_log_is_looked_through_in_stretches() -> None:
    wanted, places = replace(ALL, code="filter:old"), Places()
    assert offsets(walked(Picker(log_of(1), wanted, places, 50), 0, 250_000)) == []
    assert places.asked == [(0, LOOKED_THROUGH), (LOOKED_THROUGH, 2 * LOOKED_THROUGH), (2 * LOOKED_THROUGH, 250_000)]


def test_chosen_events_are_read_and_nothing_else() -> None:
    chosen = (Position(0, 9), Position(1, 3), Position(0, 2))
    pages = walked(Picker(log_of(20), replace(ALL, positions=chosen), Places(), 50), 0, 20)
    assert offsets(pages) == [2, 9]
    assert pages[-1].upto == 20


def test_what_has_left_the_log_is_counted_once() -> None:
    log = log_of(100)
    log.trimmed = 40
    pages = walked(Picker(log, ALL, Places(), 30), 10, 100)
    assert (sum(page.gone for page in pages), offsets(pages)) == (30, list(range(41, 101)))
    wanted = replace(ALL, code="filter:old")
    pages = walked(Picker(log, wanted, Places(3, 12, 39, 41, 70, 99), 30), 0, 100)
    assert (sum(page.gone for page in pages), offsets(pages)) == (3, [41, 70, 99])


def test_a_log_that_reads_less_than_asked_for_loses_nothing() -> None:
    """One on disk reads of one segment at a time."""

    class Short(paper.ListLog):
        async def read(self, partition: int, after: Offset, limit: int):  # type: ignore[no-untyped-def]
            return await super().read(partition, after, min(limit, 10 - after % 10))

    log = Short()
    for n in range(100):
        log.add(paper.event(n))
    wanted = replace(ALL, code="filter:old")
    pages = walked(Picker(log, wanted, Places(7, 9, 12, 18, 31, 33, 60), 50), 0, 100)
    assert (sum(page.gone for page in pages), offsets(pages)) == (0, [7, 9, 12, 18, 31, 33, 60])


def test_places_that_lie_close_are_read_together() -> None:
    assert run_of([5, 6, 9, 200, 201], 50) == [5, 6, 9]
    assert run_of([5, 15, 25, 35, 45, 55], 40) == [5, 15, 25, 35]
    assert run_of([5], 40) == [5]


def test_a_replay_begins_where_its_first_event_may_lie() -> None:
    wanted = replace(ALL, code="filter:old")
    assert asyncio.run(Picker(log_of(1), wanted, Places(150_007), 50).first(0, 3, 900_000)) == 150_006
    assert asyncio.run(Picker(log_of(1), wanted, Places(), 50).first(0, 3, 900_000)) == 900_000
    assert asyncio.run(Picker(log_of(1), ALL, Places(), 50).first(0, 3, 9)) == 3


def test_what_was_ever_delivered_has_not_ended_so() -> None:
    wanted = replace(ALL, code="filter:old")

    def ended(*states: tuple[State, str]) -> list[Outcome]:
        return [
            Outcome(
                destination=7,
                position=Position(0, 1),
                state=state,
                code=code,
                received_at=0,
                ended_at=100 - n,
                settings_version=1,
            )
            for n, (state, code) in enumerate(states)
        ]

    old, other, done = (State.skipped, "filter:old"), (State.dead, "http_400"), (State.delivered, "")
    assert wanted.ended_so(ended(old))
    assert wanted.ended_so(ended(old, other))
    assert not wanted.ended_so(ended(other, old))
    assert not wanted.ended_so(ended(done, old))
    assert not wanted.ended_so(ended(old, done))
    assert not wanted.ended_so([])
    assert ALL.ended_so([])
    assert ALL.ended_so(ended(done))


def test_users_codes_and_places_narrow_it() -> None:
    stored = Stored(Position(0, 4), paper.event(1, user="ada"))
    assert replace(ALL, user="ada").fits(stored)
    assert not replace(ALL, user="bob").fits(stored)
    assert replace(ALL, positions=(Position(0, 4),)).fits(stored)
    assert not replace(ALL, positions=(Position(0, 5),)).fits(stored)
