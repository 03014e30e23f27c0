"""Examples of what became of events: the newest of a code first, page by page, out of real files."""

import random
from pathlib import Path

import apsw
import pytest

from milonga.outcomes import examples as examples_
from milonga.outcomes.examples import NEWEST, Mark, examples
from milonga.outcomes.files import path_of, segments
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.reader import OutcomeReader
from milonga.outcomes.writer import OutcomeWriter
from tests.clocks import Still
from tests.outcomes.test_outcome_files import AT, outcome

CODES = ("missing_group_id", "no_page_event")
MINUTE = 60_000


def many(folder: Path) -> list[Outcome]:
    """Outcomes in four files, whose ends are in no order of their events, some at the same moment."""
    dice, clock = random.Random(5), Still(AT / 1000)
    writer = OutcomeWriter(folder, clock, segment_rows=100)
    written: list[Outcome] = []
    for n in range(400):
        at = AT + n * MINUTE + dice.choice((0, 0, MINUTE))
        clock.at = at / 1000
        state = dice.choice((State.delivered, State.skipped, State.skipped, State.dead))
        code = "" if state is State.delivered else "http_400" if state is State.dead else dice.choice(CODES)
        one = outcome(dice.randrange(10_000), state, destination=dice.choice((1, 2)), at=at, code=code)
        written.append(one)
        if len(written) % 20 == 0:
            writer.write(written[-20:])
    writer.close()
    assert len(segments(folder)) == 4
    return written


def mark_of(one: Outcome) -> Mark:
    return Mark(one.ended_at, *one.position)


def pages(reader: OutcomeReader, state: State, code: str | None, limit: int) -> list[Outcome]:
    found: list[Outcome] = []
    before: Mark | None = NEWEST
    while before is not None:
        page = examples(reader, 1, state, code, before=before, limit=limit)
        assert not page.stopped
        found += page.outcomes
        before = page.next
    return found


@pytest.fixture(scope="module")
def written_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Outcome]]:
    folder = tmp_path_factory.mktemp("outcomes")
    return folder, many(folder)


@pytest.mark.parametrize("state", [State.delivered, State.skipped, State.dead, State.expired])
@pytest.mark.parametrize("limit", [1, 7, 1_000])
def test_pages_have_each_of_them_once_the_newest_end_first(
    written_in: tuple[Path, list[Outcome]], state: State, limit: int
) -> None:
    folder, written = written_in
    reader = OutcomeReader(folder)
    codes = {one.code for one in written if one.state is state}
    for code in (None, *codes):
        right = [one for one in written if one.destination == 1 and one.state is state and code in (None, one.code)]
        right.sort(key=mark_of, reverse=True)
        assert pages(reader, state, code, limit) == right
    assert pages(reader, state, "no_such_code", limit) == []


def test_of_files_from_before_the_index_the_newest_events_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = many(tmp_path)
    for number in segments(tmp_path):
        db = apsw.Connection(str(path_of(tmp_path, number)))
        db.execute("DROP INDEX by_code")
        db.close()
    right = [one for one in written if one.destination == 1 and one.state is State.dead]
    reader = OutcomeReader(tmp_path)
    assert len(pages(reader, State.dead, "http_400", 7)) == len(right)
    monkeypatch.setattr(examples_, "LOOKED_AT", 20)
    page = examples(reader, 1, State.dead, "http_400", limit=1_000)
    assert page.stopped
    assert 0 < len(page.outcomes) < len(right)


def test_of_more_files_than_it_looks_at_the_next_page_begins_behind_them(
    written_in: tuple[Path, list[Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, written = written_in
    monkeypatch.setattr(examples_, "MOST_FILES", 2)
    reader, found, before = OutcomeReader(folder), set[Mark](), NEWEST
    page = examples(reader, 1, State.dead, limit=1_000)
    assert page.stopped
    while page.next is not None:
        assert page.next < before
        found |= {mark_of(one) for one in page.outcomes}
        before = page.next
        page = examples(reader, 1, State.dead, before=before, limit=1_000)
    found |= {mark_of(one) for one in page.outcomes}
    assert found == {mark_of(one) for one in written if one.destination == 1 and one.state is State.dead}
    assert not examples(reader, 1, State.dead, limit=1).stopped


def test_a_page_is_read_by_the_index(written_in: tuple[Path, list[Outcome]]) -> None:
    folder, _ = written_in
    db = apsw.Connection(str(path_of(folder, segments(folder)[0])))
    asked = {
        examples_._INDEXED: (1, 2, CODES[0], *NEWEST, 5),
        examples_._NEXT_CODE.format(">="): (1, 2, ""),
        examples_._NEXT_CODE.format(">"): (1, 2, CODES[0]),
    }
    for query, values in asked.items():
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values)]
        assert len(plan) == 1, plan
        assert plan[0].startswith("SEARCH")
        assert "by_code" in plan[0]
        assert "B-TREE" not in plan[0]
    db.close()


def test_periods_count_what_ended_in_each_also_of_files_that_are_gone(tmp_path: Path) -> None:
    clock = Still(AT / 1000)
    writer = OutcomeWriter(tmp_path, clock, segment_rows=2)
    hour = AT // MINUTE // 60
    for n, after in enumerate((0, 0, 0, 70, 130, 130)):
        at = AT + after * MINUTE
        clock.at = at / 1000
        writer.write([outcome(n, State.skipped, at=at, code="disabled"), outcome(n, at=at)])
    reader = OutcomeReader(tmp_path)
    for _ in range(2):
        found = reader.periods(AT // MINUTE, 60, [State.skipped, State.dead])
        assert list(found) == [(1, State.skipped, "disabled")]
        assert sum(found[1, State.skipped, "disabled"].values()) == 6
        assert found[1, State.skipped, "disabled"][hour] == 3
        clock.at += 3_600
        writer.drop_old(keep=600)
    assert len(segments(tmp_path)) == 1
    assert reader.periods(AT // MINUTE + 200, 60, [State.skipped]) == {}
    writer.close()


def test_places_of_a_code_come_in_the_order_of_the_log_and_once_each(tmp_path: Path) -> None:
    written, reader = many(tmp_path), OutcomeReader(tmp_path)
    for destination in (1, 2):
        for code in (*CODES, "http_400"):
            mine = [one for one in written if (one.destination, one.code) == (destination, code)]
            expected = sorted({one.position.offset for one in mine if 2_000 < one.position.offset <= 9_000})
            assert reader.places(destination, code, 0, 2_000, 9_000, 10_000) == expected
            found, after = list[int](), 2_000
            while some := reader.places(destination, code, 0, after, 9_000, 7):
                found, after = found + some, some[-1]
            assert found == expected
    assert reader.places(1, "http_400", 1, 0, 10_000, 10) == [], "another partition"
    assert reader.places(3, "http_400", 0, 0, 10_000, 10) == []
