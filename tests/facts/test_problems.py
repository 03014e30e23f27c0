"""Reasons why events were not delivered: counted over time, told by an example; and dead letters as files."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from milonga.delivery.editing import NotValid
from milonga.delivery.letter_list import LetterFilter
from milonga.delivery.rows import DeadLetter, Parked, Progress
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.api import Position
from milonga.facts import wishes
from milonga.facts.exporting import AT_ONCE, defused, export
from milonga.facts.facts import Facts, Place, open_facts
from milonga.facts.problems import BARS, PARTS, SPANS, Met, chart, newest, parked, reason, reasons, tell
from milonga.outcomes.model import State
from milonga.outcomes.writer import OutcomeWriter
from milonga.privacy.regulation import Kind
from milonga.workspace.errors import UserError
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.clocks import Still
from tests.delivery import paper
from tests.outcomes.test_outcome_files import AT, attempt, outcome

HOUR = 3_600_000
MINUTE = 60_000
NOW = AT - AT % (5 * MINUTE) + 4 * MINUTE + 59_000  #: the last moment of five minutes: then a bar is an hour to the dot


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        workspace.add_destination("totango", "web", "prod", {"serviceId": "SP-1-1"}, DestinationState.on, {})
        workspace.add_destination("totango", "web", "other", {"serviceId": "SP-1-1"}, DestinationState.on, {})
    return data


@pytest.fixture
def facts(data: Path) -> Iterator[Facts]:
    DeliveryStore(data / "delivery.db").close()
    with open_facts(data) as found:
        yield found


def ended(data: Path, *ends: tuple[int, State, str, int]) -> None:
    """(milliseconds before NOW, state, code, destination)"""
    clock = Still(NOW / 1000)
    writer = OutcomeWriter(data / "outcomes", clock)
    rows = [
        outcome(n, state, destination=number, at=NOW - before, code=code)
        for n, (before, state, code, number) in enumerate(ends, 1)
    ]
    writer.write(rows, [replace(attempt(n), destination=number) for n, (_, _, _, number) in enumerate(ends, 1)])
    writer.close()


def letter(n: int, code: str = "http_400", **said: Any) -> DeadLetter:
    return DeadLetter(
        destination=1,
        position=Position(0, n),
        died_at=n,
        code=code,
        reason="It said no",
        parts=frozenset(),
        event=paper.event(n, **said),
    )


def keep(data: Path, *letters: DeadLetter) -> None:
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        for one in letters:
            store.add_dead(one)
    store.close()


def test_a_reason_is_counted_by_hours_the_last_one_against_those_before(data: Path, facts: Facts) -> None:
    skipped = State.skipped
    ended(
        data,
        *[(minutes * MINUTE, skipped, "disabled", 1) for minutes in (0, 30, 59, 61, 119, 300)],
        (26 * HOUR, skipped, "disabled", 1),
        (0, State.delivered, "", 1),
        (0, State.expired, "too_old", 2),
    )
    found = {(one.destination, one.code): one.trend for one in reasons(facts, now=NOW)}
    assert set(found) == {(1, "disabled"), (2, "too_old")}
    trend = found[1, "disabled"]
    assert (trend.hours, len(trend.bars), trend.total) == (1, BARS, 6)
    assert trend.bars[-2:] == [2, 3]
    assert trend.lately == 3
    assert trend.before == 3 / 24
    assert reasons(facts, destination=2, now=NOW)[0].code == "too_old"
    week = {one.code: one.trend for one in reasons(facts, "7d", now=NOW)}
    assert (week["disabled"].hours, week["disabled"].total) == (7, 7)
    assert reason(facts, 1, skipped, "never_seen").trend.total == 0
    values = chart(facts, 1, skipped, "disabled", "24h", now=NOW)["series"][0]["values"]
    assert sum(values) == 6


@pytest.mark.parametrize("span", SPANS)
def test_bars_are_whole_parts_of_minutes(span: str) -> None:
    assert SPANS[span] * 60 % ((BARS - 1) * PARTS) == 0


def test_dead_letters_are_reasons_for_as_long_as_they_are_kept(data: Path, facts: Facts) -> None:
    keep(data, letter(1), letter(2), letter(3, "http_413"))
    found = reasons(facts, now=NOW)
    assert [(one.state, one.code, one.kept, one.trend.total) for one in found] == [
        (State.dead, "http_400", 2, 0),
        (State.dead, "http_413", 1, 0),
    ]
    told = tell(facts, found[0])
    assert told.why == "It said no."
    assert told.at == {"page": "settings", "name": ""}
    assert told.example is not None
    assert (told.example.position, told.example.event) == (Position(0, 2), paper.event(2)), "the newest that is kept"


def test_of_letters_that_are_gone_a_try_says_why(data: Path, facts: Facts) -> None:
    ended(data, (0, State.dead, "http_400", 1))
    (one,) = reasons(facts, now=NOW)
    told = tell(facts, one)
    assert told.why == "Totango answered 503."
    assert told.example == Met(Position(0, 1), NOW, None, 3), "the log never had it"


def test_examples_say_what_became_of_them_since(data: Path, facts: Facts) -> None:
    clock = Still(AT / 1000)
    writer = OutcomeWriter(data / "outcomes", clock)
    writer.write([outcome(1, State.dead, code="http_400"), outcome(2, State.dead, code="http_400", at=AT + 1)])
    writer.write([outcome(1, at=AT + 9)])
    writer.close()
    found, page = newest(facts, 1, State.dead, "http_400")
    assert [one.outcome.position.offset for one in found] == [2, 1]
    assert [one.since and one.since.state for one in found] == [None, State.delivered]
    assert [one.stored for one in found] == [None, None], "the log never had them"
    assert page.next is None


def test_parked_keys_are_counted_by_the_last_failure_of_their_first_event(data: Path, facts: Facts) -> None:
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        for n, account in enumerate(("acme", "acme", "initech", "hooli"), 1):
            store.park(
                1,
                Parked(
                    position=Position(0, n), parked_at=1, received_at=1, keys=((account,),), resent=False, event=None
                ),
            )
        for n, code in ((1, "http_503"), (3, "http_503"), (4, "timeout")):
            store.set_progress(1, Position(0, n), Progress(attempts=2, code=code, reason=f"{code}."))
        store.set_progress(1, Position(0, 9), Progress(attempts=1, code="http_500"))  # not parked
    store.close()
    (found,) = parked(facts)
    assert (found.destination, found.keys, found.events, found.exact) == (1, 3, 4, True)
    assert [(one.code, one.reason, one.keys) for one in found.by] == [
        ("http_503", "http_503.", 2),
        ("timeout", "timeout.", 1),
    ]
    assert parked(facts, 2) == []


# Files


@pytest.mark.parametrize("blank", ["", "\t", " ", "\r", "\0", "\ufeff", "a;", "a; \n", "a\t", "a\r\n", "a\n\n"])
@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1"])
def test_a_cell_that_would_be_a_formula_is_text_also_where_semicolons_part_cells(blank: str, text: str) -> None:
    assert defused(f"{blank}{text}") == f"{blank}'{text}"


@pytest.mark.parametrize("text", ["", "acme", "1-1", "a=b", "'quoted", "a;b", "a; b=c", None])
def test_any_other_cell_stays_as_it_is(text: str | None) -> None:
    assert defused(text) == (text or "")


def test_files_have_every_letter_a_page_at_a_time(data: Path, facts: Facts) -> None:
    hostile = '=cmd|"/c calc"!A1;=1\r\n","x'
    kept = [letter(n) for n in range(1, AT_ONCE + 51)]
    keep(data, *kept, letter(999, event=hostile), replace(letter(1_000), destination=77))
    parts = list(export(facts))
    assert len(parts) == 2, "in pieces"
    lines = [json.loads(line) for line in b"".join(parts).splitlines()]
    assert len(lines) == AT_ONCE + 51, "not of a destination that is gone"
    assert lines[-1]["event"]["event"] == hostile
    rows = list(csv.DictReader(io.StringIO(b"".join(export(facts, format_="csv")).decode(), newline="")))
    assert len(rows) == len(lines)
    assert rows[-1]["name"] == "'" + hostile.replace(";", ";'")
    assert json.loads(rows[-1]["event"])["event"] == hostile
    assert ";" not in rows[-1]["event"]
    assert len(list(export(facts, LetterFilter(code="none")))) == 0


# What is asked for


def test_what_cannot_be_done_is_refused_before_it_is_asked(data: Path, facts: Facts) -> None:
    keep(data, letter(1))
    place = next(place for place in facts.places if place.config.name == "prod")
    at, good = Position(0, 1), paper.event(1).body.decode()
    with pytest.raises(UserError, match="no such dead letter"):
        wishes.edit(facts, place, Position(0, 5), good, by="cli")
    with pytest.raises(UserError, match="refused once more"):
        wishes.edit(facts, place, at, good, died_at=77, by="cli")
    with pytest.raises(NotValid):
        wishes.edit(facts, place, at, "{}", by="cli")
    facts.workspace.regulations.create(Kind.suppress_only, ["eve"])
    with pytest.raises(UserError, match="A regulation"):
        wishes.edit(facts, place, at, msgspec.json.encode(json.loads(good) | {"userId": "eve"}).decode(), by="cli")
    facts.workspace.change_state("prod", DestinationState.off, "cli", "", {})
    off = Place(facts.workspace.destination("prod"))
    with pytest.raises(UserError, match="is off"):
        wishes.edit(facts, off, at, good, by="cli")
    with pytest.raises(UserError, match="is off"):
        wishes.resend(facts, off, wanted=LetterFilter(), by="cli")
    assert facts.workspace.commands.pending() == ()
    assert wishes.discard(facts, off, positions=[at], by="user:ada") > 0
    (command,) = facts.workspace.commands.pending()
    assert command.args == {"destination": 1, "positions": [[0, 1]], "wanted": None, "by": "user:ada"}
