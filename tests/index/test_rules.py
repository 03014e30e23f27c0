"""The pure parts, each for itself."""

from hypothesis import given, settings
from hypothesis import strategies as st

from milonga.index import sketch
from milonga.index.facts import MOST_OF_A_KIND, AccountFacts, Kind, unpack
from milonga.index.places import ALL, BLOCK, CHUNK, below, common, join, pack, spans, within
from milonga.index.places import unpack as places_in
from milonga.index.tail import Tail
from milonga.index.terms import LONGEST, Dim, Seen, filed

places = st.lists(st.integers(0, CHUNK - 1), unique=True, max_size=200).map(sorted)
many = st.integers(1, 9).map(lambda step: list(range(0, CHUNK, step)))
AT = 1_800_000_000_000
quickly = settings(deadline=None, max_examples=40)


def seen(offset: int, account: str = "acme", user: str | None = "ada", **more: object) -> Seen:
    usual = {
        "source": 1,
        "type": "track",
        "message_id": f"m-{offset}",
        "anonymous": None,
        "named": None,
        "module": None,
    }
    return Seen(offset=offset, at=AT + offset, account=account, user=user, activities=(), names=(), **usual | more)  # type: ignore[arg-type]


@quickly
@given(st.one_of(places, many))
def test_places_are_read_as_they_were_written(some: list[int]) -> None:
    assert list(places_in(pack(some))) == some


@quickly
@given(st.lists(st.one_of(places, many), min_size=1, max_size=4), st.integers(0, CHUNK))
def test_what_several_have_in_common(lists: list[list[int]], end: int) -> None:
    expected = sorted((p for p in set(lists[0]).intersection(*lists[1:]) if p < end), reverse=True)
    assert list(common([pack(one) for one in lists], below(end))) == expected


@quickly
@given(places, st.integers(0, CHUNK))
def test_parts_are_joined(some: list[int], cut: int) -> None:
    parts = [pack([p for p in some if p < cut]), pack([p for p in some if p >= cut])]
    assert list(places_in(join([part for part in parts if part] or [b""]))) == some


@quickly
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=300), st.integers(0, 1000), st.integers(0, 1000))
def test_no_place_of_a_time_is_missed(times: list[int], since: int, until: int) -> None:
    allowed = within(spans(times), since, until)
    assert all(allowed >> place & 1 for place, at in enumerate(times) if since <= at < until)


def test_a_part_that_begins_amid_a_block_has_the_times_of_its_places() -> None:
    tail = Tail(1, 1 + 100)
    for offset in range(101, 301):
        tail.add(seen(offset))
    allowed = tail.within(AT + 150, AT + 151)
    assert allowed >> (150 - tail.begin) & 1
    assert allowed.bit_count() == BLOCK
    assert tail.places(Dim.user, "ada") == pack(range(100, 300))
    assert allowed & ALL == allowed


@quickly
@given(st.sets(st.integers(0, 5_000), max_size=600))
def test_users_are_counted_exactly_while_they_are_few_and_nearly_then(users: set[int]) -> None:
    hashes = sketch.smallest(sketch.hash_of(str(user)) for user in users)
    if len(users) < sketch.K:
        assert sketch.about(hashes) == len(users)
    else:
        assert abs(sketch.about(hashes) - len(users)) < 5 * sketch.OFF_BY * len(users)
    assert sketch.extended(sketch.pack(hashes), hashes) == sketch.pack(hashes)


@quickly
@given(st.lists(st.sets(st.integers(0, 900), max_size=300), min_size=2, max_size=4))
def test_sketches_of_parts_make_that_of_the_whole(parts: list[set[int]]) -> None:
    packed = b""
    for part in parts:
        packed = sketch.extended(packed, {sketch.hash_of(str(one)) for one in part})
    assert packed == sketch.pack(sketch.hash_of(str(one)) for one in set().union(*parts))


def test_an_account_with_very_many_users_keeps_the_newest_and_about_how_many() -> None:
    whole = AccountFacts()
    for part in range(4):
        facts = AccountFacts()
        for number in range(500):
            offset = 1 + part * 500 + number
            facts.add(seen(offset, user=f"user-{offset}"))
        whole.merge(unpack(facts.pack(1), 1))
    assert whole.all is not None
    assert whole.all.n == 2_000
    users, exact = whole.users()
    assert not exact
    assert abs(users - 2_000) < 5 * sketch.OFF_BY * 2_000
    kept = [user for user, _ in unpack(whole.pack(1), 1).of(Kind.user)]
    assert sorted(kept) == sorted(f"user-{n}" for n in range(2_001 - MOST_OF_A_KIND, 2_001))


@quickly
@given(st.text())
def test_what_is_filed_is_short_told_apart_and_can_be_written(text: str) -> None:
    longer = text + "x" * LONGEST
    filed(text).encode()
    assert len(filed(longer)) <= LONGEST
    assert filed(longer) != filed(longer + "y")


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert filed("\ud83d") == "\N{REPLACEMENT CHARACTER}"
    assert filed("\ud83d" + "x" * LONGEST).encode()
