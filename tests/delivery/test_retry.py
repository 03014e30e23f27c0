from hypothesis import given
from hypothesis import strategies as st

from milonga.delivery.retry import Backoff, wait_before

BACKOFF = Backoff(first=0.5, longest=300.0, asked=3600.0)


def test_the_ceiling_doubles_with_every_try_up_to_the_longest() -> None:
    ceilings = [wait_before(n, dice=1.0, asked=None, backoff=BACKOFF) for n in range(1, 13)]
    assert ceilings == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_the_wait_is_a_random_part_of_the_ceiling() -> None:
    assert wait_before(5, dice=0.0, asked=None, backoff=BACKOFF) == 0.0
    assert wait_before(5, dice=0.25, asked=None, backoff=BACKOFF) == 2.0


def test_what_the_receiver_asked_for_is_never_undercut() -> None:
    assert wait_before(1, dice=0.0, asked=60.0, backoff=BACKOFF) == 60.0
    assert 60.0 < wait_before(9, dice=1.0, asked=60.0, backoff=BACKOFF) <= 61.0


def test_a_receiver_cannot_ask_for_more_than_an_hour() -> None:
    assert wait_before(1, dice=0.0, asked=10**9, backoff=BACKOFF) == 3600.0


@given(st.integers(1, 10**6), st.floats(0, 1), st.none() | st.floats(0, 10**12))
def test_a_wait_is_always_finite_and_not_negative(attempt: int, dice: float, asked: float | None) -> None:
    assert 0.0 <= wait_before(attempt, dice=dice, asked=asked, backoff=BACKOFF) <= 3601.0
