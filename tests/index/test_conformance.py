"""The index says what a plain list of the events says, whatever comes, however it is cut into files."""

import asyncio
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from milonga.eventlog.sqlite import SqliteLog
from milonga.eventlog.writer import SealAt
from milonga.index import terms
from milonga.index.index import EventIndex
from milonga.index.news import DAY
from milonga.index.search import Query
from tests.running import eventually

from . import model
from .asking import in_peace, pages
from .model import NOW, Told

few = st.sampled_from
told = st.builds(
    Told,
    type=few(["track", "track", "track", "page", "identify", "group", "screen", "alias"]),
    account=few([None, "acme", "globex", "äöü 😀"]),
    user=few([None, "ada", "bob", "eve", "x" * 300]),
    anonymous=few([None, "a-1", "a-2"]),
    name=few([None, "Paid", "Report", "Weekly", "long " * 60]),
    category=few([None, "Billing", "Reports"]),
    source=few([1, 2]),
    at=st.integers(NOW, NOW + 3 * DAY),
)
events_of = st.lists(told, min_size=1, max_size=400)
queries = st.builds(
    Query,
    type=few([None, None, "track", "page", "group"]),
    name=few([None, None, "Paid", "Viewed Billing Page", "Weekly", "long " * 60, "nobody"]),
    module=few([None, None, None, "Billing", "Application"]),
    account=few([None, None, "acme", "", "äöü 😀"]),
    user=few([None, None, "ada", "x" * 300]),
    anonymous=few([None, None, "a-1"]),
    message_id=few([None, None, None, "m-7", "m-150"]),
    sources=few([None, None, frozenset([1]), frozenset([2, 3]), frozenset([1, 2])]),
    since=few([None, None, NOW + DAY]),
    until=few([None, None, NOW + 2 * DAY]),
)


async def store(data: Path, events: list[Told], segment: int) -> None:
    log = await SqliteLog.open(data / "log", seal_at=SealAt(events=segment), reserve=0)
    for begin in range(0, len(events), 40):
        await log.append([event.stamped() for event in events[begin : begin + 40]])
    await log.close()


def numbered(events: list[Told]) -> list[Told]:
    return [
        Told(**{field: getattr(event, field) for field in event.__struct_fields__} | {"message": f"m-{n % 170}"})
        for n, event in enumerate(events)
    ]


@settings(
    max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(events_of, st.lists(queries, min_size=5, max_size=5), few([70, 150, 1000]), few([1, 7, 50]))
def test_it_says_what_the_events_say(events: list[Told], asked: list[Query], segment: int, limit: int) -> None:
    events = numbered(events)
    with TemporaryDirectory() as folder:
        data = Path(folder)
        asyncio.run(store(data, events, segment))
        index = EventIndex(data, reserve=0, rest=0.0, part=64, clock=lambda: NOW + 3 * DAY)
        index.start()
        try:
            eventually(lambda: index.standing.settled, "all is read")
            for query in asked:
                assert pages(index, query, limit) == model.found(events, query), query
            with in_peace():
                check_accounts(index, events)
                check_names(index, events)
                check_tallies(index, events)
            assert_without_account(index, events)
        finally:
            index.stop()


def check_accounts(index: EventIndex, events: list[Told]) -> None:
    listed = index.accounts(limit=100).accounts
    assert [one.id for one in listed] == model.accounts(events)
    assert [one.id for one in index.accounts("ACM").accounts] == [
        id_ for id_ in model.accounts(events) if id_ == "acme"
    ]
    named = {event.account for event in events if event.type == "group"}
    assert [one.id for one in index.accounts(unnamed=True).accounts] == [
        id_ for id_ in model.accounts(events) if id_ not in named
    ]
    for short in listed:
        one, mine = index.account(short.id), [event for event in events if event.account == short.id]
        assert one is not None
        assert (one.events, one.name, one.name) == (len(mine), terms.filed(model.name_of(events, one.id)), short.name)
        assert (one.first_at, one.last_at) == (min(e.at for e in mine), max(e.at for e in mine))
        assert (one.users, one.users_exact) == (len(model.counted(events, one.id, "user")), True)
        for what, usages in (("user", one.newest_users), ("module", one.modules), ("activity", one.activities)):
            assert {usage.text: usage.n for usage in usages} == filed(model.counted(events, one.id, what)), what
        assert {usage.text: usage.n for usage in one.types} == model.counted(events, one.id, "type")
        assert (one.named_at is None) == (one.id not in named)


def check_tallies(index: EventIndex, events: list[Told]) -> None:
    for account, user in ((None, "ada"), (None, "x" * 300), ("acme", None), ("acme", "bob"), (None, "nobody")):
        mine = [n for n in range(1, len(events) + 1) if events[n - 1].fits(Query(account=account, user=user))]
        tally = index.tally(account=account, user=user)
        assert tally is not None
        assert (tally.events, tally.first, tally.is_complete) == (len(mine), mine[0] if mine else None, True)
        assert tally.types == Counter(events[n - 1].type for n in mine)


def check_names(index: EventIndex, events: list[Told]) -> None:
    found = index.catalogue()
    for what, names in (("module", found.modules), ("activity", found.activities)):
        assert {one.text: one.n for one in names.shown} == filed(model.counted(events, None, what))
        assert [one.n for one in names.shown] == [sum(one.days) for one in names.shown]
        for one in names.shown:
            mine = {event.account for event in events if one.text in filed(model.counted([event], None, what))}
            assert (one.accounts, one.accounts_exact) == (len(mine - {None}), True)


def assert_without_account(index: EventIndex, events: list[Told]) -> None:
    found = index.without_account(NOW - DAY, NOW + 4 * DAY)
    assert (found.events, found.with_user, found.nameable) == model.nameable(events)
    for example in found.examples:
        event, group = events[example.offset - 1], events[example.group - 1]
        assert event.account is None
        assert group.type == "group"
        assert group.user == event.user
        assert example.group < example.offset


def filed(count: Counter[str]) -> dict[str, int]:
    """Long texts are shortened."""
    return {terms.filed(text): n for text, n in count.items()}
