"""What replays filed under an account is found among its events: in order, page by page, however little fits."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest

from milonga.delivery.replay_rows import Filed
from milonga.delivery.store import DeliveryStore
from milonga.eventlog.api import Position
from milonga.eventlog.lookup import AFTER_ALL
from milonga.facts import filed
from milonga.facts import summary as of_all
from milonga.facts.facts import Facts, open_facts
from milonga.facts.filed import at_its_places, count_filed, find_all
from milonga.facts.search import Wanted
from milonga.facts.summary import ends_of, summary
from milonga.outcomes.model import Outcome, State
from milonga.outcomes.words import instant
from milonga.outcomes.writer import OutcomeWriter
from milonga.workspace.model import DestinationState
from milonga.workspace.store import Workspace
from tests.index.model import NOW, Told
from tests.index.test_following import append_told, made

EVENTS = 60
REPLAY = 4
ELSEWHERE = 12  #: one that a replay filed under another account
SENT_AGAIN = 24  #: one that a later replay has sent as it arrived
NAMED = [n for n in range(1, EVENTS + 1) if n % 3 == 1]
FILED = [n for n in range(1, EVENTS + 1) if n % 3 == 0 and n not in (ELSEWHERE, SENT_AGAIN)]


def event(number: int) -> Told:
    """Of each three one that names the account, one of nobody, and one that a replay has filed."""
    account, name = ("acme", "Paid") if number % 3 == 1 else (None, "Opened")
    type_ = "identify" if number % 2 else "track"
    return Told(type=type_, account=account, user="ada", name=name, at=NOW + number, message=f"m-{number}")


def delivered(offset: int, destination: int, replay: int) -> Outcome:
    return Outcome(
        destination=destination,
        position=Position(0, offset),
        state=State.delivered,
        received_at=NOW + offset,
        ended_at=NOW + 1_000 + replay,
        settings_version=1,
        replay=replay,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two destinations, of which `first` was replayed to; the other has skipped what names no account."""
    data = tmp_path_factory.mktemp("filed")
    with Workspace.open(data) as workspace:
        workspace.sources.add("web")
        for name in ("first", "second"):
            workspace.add_destination("totango", "web", name, {"serviceId": "SP-1-1"}, DestinationState.on, {0: 0})
    asyncio.run(append_told(data, [event(n) for n in range(1, EVENTS + 1)]))
    writer = OutcomeWriter(data / "outcomes", time)
    writer.write([delivered(n, 1, REPLAY) for n in [*FILED, ELSEWHERE, SENT_AGAIN]])
    writer.write([delivered(SENT_AGAIN, 1, REPLAY + 1)])
    writer.close()
    store = DeliveryStore(data / "delivery.db")
    with store.transaction():
        for number in (1, 2):
            store.set_position(number, 0, EVENTS)
        for n in [*FILED, ELSEWHERE, SENT_AGAIN]:
            account = "initech" if n == ELSEWHERE else "acme"
            store.replays.file(1, Position(0, n), Filed(REPLAY, NOW + 500, account))
    store.close()
    return data


@pytest.fixture
def facts(data: Path) -> Iterator[Facts]:
    with open_facts(data) as found:
        yield found


def pages(facts: Facts, wanted: Wanted, limit: int) -> list[int]:
    """Offsets, one page after the other; what was filed is marked wherever it stands."""
    found, before = list[int](), AFTER_ALL
    for _ in range(EVENTS):
        page = find_all(facts, wanted, limit, before=before)
        assert len(page.events) <= limit
        found += (here := [stored.position.offset for stored in page.events])
        assert {position.offset for position in page.filed} == {n for n in here if n % 3 == 0}
        for under in page.filed.values():
            assert [(one.place.config.name, one.replay) for one in under] == [("first", REPLAY)]
        if page.before is None:
            return found
        assert page.before < before
        before = page.before
    raise AssertionError("it never ends")


@pytest.mark.parametrize("limit", [1, 3, 7, 1_000])
@pytest.mark.parametrize("most", [1, 500])
def test_both_kinds_come_in_the_order_of_the_log(
    limit: int, most: int, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filed, "MOST", most)
    monkeypatch.setattr(filed, "AT_ONCE", 4)
    assert pages(facts, Wanted(account="acme"), limit) == sorted(NAMED + FILED, reverse=True)
    tracks = [n for n in NAMED + FILED if n % 2 == 0]
    assert pages(facts, Wanted(account="acme", type="track"), limit) == sorted(tracks, reverse=True)
    opened = [n for n in FILED if n % 2 == 0]
    assert pages(facts, Wanted(account="acme", name="Opened", user="ada"), limit) == opened[::-1]
    assert pages(facts, Wanted(account="acme", user="bob"), limit) == []
    assert pages(facts, Wanted(account="initech"), limit) == [ELSEWHERE]


def test_a_page_that_was_cut_short_says_back_to_when(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filed, "MOST", 4)
    monkeypatch.setattr(filed, "AT_ONCE", 4)
    page = find_all(facts, Wanted(account="acme", user="bob"), 5)
    assert (page.events, page.before, page.until) == ([], FILED[-4], NOW + FILED[-4])


def test_no_search_but_one_of_an_account_has_them(facts: Facts) -> None:
    page = find_all(facts, Wanted(user="ada"), 1_000)
    assert (len(page.events), page.filed) == (EVENTS, {})
    assert len(find_all(facts, Wanted(no_account=True), 1_000).events) == EVENTS - len(NAMED)


def test_they_are_counted_up_to_a_limit(facts: Facts) -> None:
    assert count_filed(facts, "acme", 1_000) == len(FILED) + 1, "by rows alone"
    assert count_filed(facts, "acme", 5) == 5
    assert count_filed(facts, "nobody", 5) == 0


def test_for_the_account_they_end_only_where_they_were_filed(facts: Facts) -> None:
    page = find_all(facts, Wanted(account="acme"), 3)
    assert [stored.position.offset for stored in page.events] == [60, 58, 57]
    ends = at_its_places(ends_of(facts, page.events), page.filed)
    assert [[place.config.name for place, _ in ends[stored.position]] for stored in page.events] == [
        ["first"],
        ["first", "second"],
        ["first"],
    ]


# All in all


@pytest.mark.parametrize("by_index", [True, False])
def test_a_summary_tells_what_became_of_the_newest_of_both_kinds(by_index: bool, data: Path, facts: Facts) -> None:
    with made(data) as index:
        found = summary(facts, Wanted(account="acme"), index if by_index else None)
    told = found.told
    assert found.newest is not None
    assert found.newest.position.offset == EVENTS
    assert (told["events"], told["more"], told["filed"]) == (len(NAMED), False, len(FILED) + 1)
    assert told["looked"] == len(NAMED) + len(FILED)
    assert told["types"] == {"track": 10, "identify": 10}
    assert (told["firstAt"], told["lastAt"]) == (instant(NOW + NAMED[0]), instant(NOW + NAMED[-1]))
    ends = {
        one["destination"]: {(end["state"], end["events"]) for end in one["outcomes"]} for one in told["destinations"]
    }
    assert ends == {"first": {("delivered", len(FILED)), ("unknown", len(NAMED))}, "second": {("unknown", len(NAMED))}}


def test_a_summary_looks_at_so_many_and_counts_all_if_an_index_does(
    data: Path, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LOOKED", 5), ("AT_ONCE", 2), ("MOST", 7)):
        monkeypatch.setattr(of_all, name, value)
    told = summary(facts, Wanted(account="acme")).told
    assert (told["events"], told["more"], told["looked"]) == (7, True, 5)
    with made(data) as index:
        told = summary(facts, Wanted(account="acme"), index).told
    assert (told["events"], told["more"], told["looked"]) == (len(NAMED), False, 5)
    assert sum(end["events"] for end in told["destinations"][0]["outcomes"]) == 5


def test_a_summary_of_nobody_is_empty(facts: Facts) -> None:
    found = summary(facts, Wanted(user="nobody"))
    assert (found.told["events"], found.told["lastAt"], found.told["looked"], found.newest) == (0, None, 0, None)
