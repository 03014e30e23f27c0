"""The filter may be unsure, but it must never be wrong about what is new."""

from hypothesis import given, settings
from hypothesis import strategies as st

from milonga.identity.duplicates import SurelyNew, filter_key


def learned(filter_: SurelyNew, segment: int, keys: set[int]) -> None:
    filter_.learn(segment, filter_.filter_of(keys), len(keys))


@settings(max_examples=50)
@given(st.lists(st.sets(st.integers(0, 2**64 - 1), max_size=40), max_size=12))
def test_a_key_that_was_learned_is_always_looked_for_in_its_segment(segments: list[set[int]]) -> None:
    filter_ = SurelyNew(ids_per_filter=50, memory=1)
    for number, keys in enumerate(segments):
        learned(filter_, number, keys)
    for number, keys in enumerate(segments):
        for key in keys:
            assert number in filter_.where(key)


def test_most_new_keys_are_surely_new() -> None:
    filter_ = SurelyNew(ids_per_filter=10_000)
    learned(filter_, 1, {filter_key(f"old-{number}") for number in range(10_000)})
    unsure = sum(bool(filter_.where(filter_key(f"new-{number}"))) for number in range(10_000))
    assert unsure < 60


def test_a_segment_whose_filter_is_not_there_yet_may_hold_anything() -> None:
    filter_ = SurelyNew(ids_per_filter=100)
    filter_.expect(1)
    filter_.expect(7)
    learned(filter_, 3, {5})
    assert filter_.where(6) == [7, 1]
    assert filter_.where(5) == [7, 3, 1]
    learned(filter_, 7, set())
    assert filter_.where(6) == [1]
    filter_.forget(1)
    assert filter_.where(6) == []


def test_memory_stays_under_its_limit_and_old_filters_are_dropped() -> None:
    filter_ = SurelyNew(ids_per_filter=1_000, memory=8_000)
    for segment in range(40):
        learned(filter_, segment, {filter_key(f"{segment}-{number}") for number in range(900)})
        assert filter_.memory <= 8_000
    for segment in range(40):
        filter_.forget(segment)
    assert filter_.memory == 0
    assert filter_.where(filter_key("3-3")) == []


def test_the_key_of_an_id_is_the_same_in_every_version() -> None:
    assert filter_key("message-1") == 0xBE53AB0212180344
    assert filter_key("é") == 0x0E048D3E0231016D
