"""Finding events: by the index, in the log, and in both where the index lags, the same is found, nothing missing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from milonga.eventlog.lookup import AFTER_ALL, EventLookup
from milonga.facts.search import Wanted, each, find
from milonga.index.index import EventIndex
from milonga.index.standing import FRESH
from tests.index.model import NOW, Told
from tests.index.test_following import append, append_told, made

EVENTS = 330
LATE = FRESH + 130  #: more than the index looks for in the log by itself
PAGE = Told(type="page", account="acme", user="bob", name="Weekly", category="Reports", at=NOW, message="m-page")

WANTED = (
    Wanted(account="acme"),
    Wanted(account="acme", name="nothing"),
    Wanted(account="nobody"),
    Wanted(no_account=True),
    Wanted(user="ada-lovelace"),
    Wanted(user="bob", type="group"),
    Wanted(name="Paid", user="bob"),
    Wanted(name="Weekly"),
    Wanted(name="Reports"),
    Wanted(name="Viewed Reports Weekly Page"),
    Wanted(module="Reports"),
    Wanted(module="Billing", sources=frozenset([1])),
    Wanted(sources=frozenset([2])),
    Wanted(message_id="m-17"),
    Wanted(message_id="m-page", user="bob"),
    Wanted(),
)


def offsets(data: Path, wanted: Wanted, index: EventIndex | None, limit: int) -> list[int]:
    """All pages, one after the other."""
    found, before = list[int](), AFTER_ALL
    while True:
        page = find(EventLookup(data / "log"), wanted, limit, before=before, index=index)
        assert len(page.events) <= limit
        found += [one.position.offset for one in page.events]
        if page.before is None:
            return found
        before = page.before


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("search")
    asyncio.run(append(data, 0, EVENTS))
    asyncio.run(append_told(data, [PAGE]))
    return data


@pytest.fixture(scope="module")
def index(data: Path) -> Iterator[EventIndex]:
    with made(data) as index:
        yield index


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_by_the_index_and_by_the_log_the_same_is_found(wanted: Wanted, data: Path, index: EventIndex) -> None:
    by_log = offsets(data, wanted, None, 1_000)
    assert offsets(data, wanted, index, 1_000) == by_log
    assert offsets(data, wanted, index, 7) == offsets(data, wanted, None, 7) == by_log
    log = EventLookup(data / "log")
    assert [one.position.offset for one in each(log, wanted, index, at_once=50)] == by_log


def test_what_was_passed_by_is_counted(data: Path, index: EventIndex) -> None:
    log = EventLookup(data / "log")
    whole = find(log, Wanted(user="bob"), 1_000, index=index)
    assert (whole.looked, whole.until, whole.before) == (EVENTS + 1, None, None)
    page = find(log, Wanted(user="ada-lovelace"), 1, index=index)
    assert len(page.events) == 1
    assert page.before is not None
    assert page.looked + len(range(1, page.before)) == EVENTS + 1


def test_a_search_through_the_log_that_was_cut_short_says_so_and_goes_on_where_it_was(data: Path) -> None:
    log, wanted = EventLookup(data / "log"), Wanted(type="alias")
    cut = find(log, wanted, 5, scan=10)
    assert (cut.events, cut.looked, cut.before) == ([], 10, EVENTS - 8)
    assert cut.until is not None
    rest = find(log, wanted, 5, before=cut.before or 0)
    assert (rest.events, rest.looked, rest.until, rest.before) == ([], EVENTS + 1 - 10, None, None)


def test_what_the_index_does_not_have_yet_is_looked_for_in_the_log(tmp_path: Path) -> None:
    asyncio.run(append(tmp_path, 0, 200))
    with made(tmp_path) as index:
        pass  # it is stopped: what it had stays, and it does not get on
    asyncio.run(append(tmp_path, 200, 200 + LATE))
    assert index.standing.upto == 200
    log = EventLookup(tmp_path / "log")
    for wanted in (Wanted(user="ada-lovelace"), Wanted(name="Paid"), Wanted(no_account=True), Wanted(message_id="m-3")):
        by_log = offsets(tmp_path, wanted, None, 1_000)
        assert offsets(tmp_path, wanted, index, 1_000) == by_log
        assert offsets(tmp_path, wanted, index, 40) == by_log
    cut = find(log, Wanted(type="alias"), 5, scan=10, index=index)
    assert (cut.events, cut.looked, cut.before) == ([], 10, 200 + LATE - 9)


def test_an_index_that_is_not_being_made_is_not_believed(data: Path) -> None:
    index = EventIndex(data)
    try:
        assert offsets(data, Wanted(user="bob"), index, 100) == offsets(data, Wanted(user="bob"), None, 100)
    finally:
        index.stop()
