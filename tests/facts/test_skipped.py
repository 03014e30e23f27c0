"""Events that ended with one reason: narrowed by what they say, page by page, as files."""

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from milonga.eventlog.sqlite import SqliteLog
from milonga.facts.exporting import ENDED_COLUMNS, export_ended
from milonga.facts.facts import Facts, Place, open_facts
from milonga.facts.skipped import Ended, all_ended, ended, everything, may_be_sent
from milonga.outcomes.examples import NEWEST, Mark
from milonga.outcomes.model import State
from milonga.outcomes.writer import OutcomeWriter
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.clocks import Still
from tests.delivery import paper
from tests.outcomes.test_outcome_files import AT, outcome

EVENTS = 250
GONE = (251, 252)  #: offsets that the log does not have
CODE = "disabled"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All skipped, a second apart; every tenth is bob's; the newest in the log was delivered since."""
    data = tmp_path_factory.mktemp("skipped") / "data"
    with Workspace.open(data) as workspace:
        workspace.sources.add("web", "demo")
        workspace.add_destination("totango", "web", "prod", {"serviceId": "SP-1-1"}, DestinationState.on, {})

    async def fill() -> None:
        log = await SqliteLog.open(data / "log")
        users = ("bob" if n % 10 == 0 else "ada" for n in range(1, EVENTS + 1))
        await log.append([paper.event(n, user=user, received_at=AT + n * 1000 - 40) for n, user in enumerate(users, 1)])
        await log.close()

    asyncio.run(fill())
    writer = OutcomeWriter(data / "outcomes", Still(AT / 1000))
    writer.write(
        [outcome(n, State.skipped, at=AT + n * 1000, code=CODE, attempts=0) for n in (*range(1, EVENTS + 1), *GONE)]
    )
    writer.write([outcome(EVENTS, at=AT + EVENTS * 1000 + 5, replay=1)])
    writer.close()
    return data


@pytest.fixture
def facts(data: Path) -> Iterator[Facts]:
    with open_facts(data) as found:
        yield found


@pytest.fixture
def place(facts: Facts) -> Place:
    return facts.places[0]


def offsets(page: Ended) -> list[int]:
    return [one.outcome.position.offset for one in page.events]


def test_all_are_listed_newest_first_those_that_left_the_log_too(facts: Facts, place: Place) -> None:
    page = ended(facts, place, State.skipped, CODE, everything(place), limit=5)
    assert offsets(page) == [252, 251, 250, 249, 248]
    assert [may_be_sent(one) for one in page.events] == [False, False, False, True, True]
    assert page.next is not None
    page = ended(facts, place, State.skipped, CODE, everything(place), before=page.next, limit=5)
    assert offsets(page) == [247, 246, 245, 244, 243]


def test_what_is_narrowed_is_found_page_by_page_and_once_each(facts: Facts, place: Place) -> None:
    wanted, found = replace(everything(place), user="bob"), list[int]()
    mark: Mark | None = NEWEST
    while mark is not None:
        page = ended(facts, place, State.skipped, CODE, wanted, before=mark, limit=4, seconds=60.0)
        assert not page.stopped
        assert len(page.events) <= 4
        found, mark = found + offsets(page), page.next
    assert found == list(range(250, 0, -10))


def test_it_stops_when_it_looked_long_enough_and_goes_on_from_there(facts: Facts, place: Place) -> None:
    wanted, found, pages = replace(everything(place), user="nobody"), list[int](), 0
    mark: Mark | None = NEWEST
    while mark is not None:
        page = ended(facts, place, State.skipped, CODE, wanted, before=mark, limit=4, seconds=0.0)
        assert page.stopped == (page.next is not None)
        found, mark, pages = found + offsets(page), page.next, pages + 1
    assert (found, pages) == ([], 3)


def test_a_time_span_ends_the_search(facts: Facts, place: Place) -> None:
    wanted = replace(everything(place), since=AT + 240_000, until=AT + 243_000)
    page = ended(facts, place, State.skipped, CODE, wanted, limit=50, seconds=60.0)
    assert (offsets(page), page.next) == ([243, 242, 241], None)


def test_all_of_them_are_files(facts: Facts, place: Place) -> None:
    every = [one for some in all_ended(facts, place, State.skipped, CODE, everything(place)) for one in some]
    assert len(every) == EVENTS + len(GONE)
    lines = b"".join(export_ended(facts, place, State.skipped, CODE, everything(place))).splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == EVENTS + len(GONE)
    assert [(row["event"], row["now"]) for row in rows[:2]] == [(None, "skipped")] * 2
    assert (rows[2]["now"], rows[2]["event"]["userId"], rows[2]["code"]) == ("delivered", "bob", CODE)
    text = b"".join(
        export_ended(facts, place, State.skipped, CODE, replace(everything(place), user="bob"), format_="csv")
    )
    table = list(csv.DictReader(io.StringIO(text.decode())))
    assert tuple(table[0]) == ENDED_COLUMNS
    assert len(table) == 25
