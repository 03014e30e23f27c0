"""How long whoever guesses passwords must wait, and that nobody else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milonga.workspace.throttle import (
    FORGOTTEN,
    OF_ADDRESS,
    OF_NAME,
    Failures,
    Limit,
    Throttle,
    network_of,
    wait_of,
)

HERE, THERE = "192.0.2.1", "198.51.100.7"


def test_some_failures_are_free_then_each_doubles_the_wait_up_to_the_longest() -> None:
    limit = Limit(free=3, longest=10.0)
    waits = [wait_of(limit, Failures(count, 100.0), 100.0) for count in range(9)]
    assert waits == [0, 0, 0, 1, 2, 4, 8, 10, 10]


def test_the_wait_is_from_the_last_failure_and_an_hour_later_all_is_forgotten() -> None:
    limit = Limit(free=0, longest=8_000.0)
    assert wait_of(limit, Failures(10, 100.0), 124.0) == 1_000.0
    assert wait_of(limit, Failures(10, 100.0), 100.0 + FORGOTTEN) == 0.0


@given(st.integers(0, 10**6), st.floats(0, 1e9), st.floats(0, 1e9))
def test_no_wait_is_negative_or_beyond_the_longest(count: int, last: float, now: float) -> None:
    assert 0.0 <= wait_of(OF_NAME, Failures(count, last), now) <= OF_NAME.longest


def guess(throttle: Throttle, name: str, address: str, now: float = 0.0) -> int:
    """Attempts until the first refusal."""
    for attempt in range(1_000):
        if throttle.admit(name, address, now):
            return attempt
    raise AssertionError("never refused")


def test_a_hundred_attempts_at_once_are_a_hundred_failures() -> None:
    throttle = Throttle()
    assert guess(throttle, "ada", HERE) == OF_NAME.free
    assert throttle.admit("ada", HERE, 0.5) == pytest.approx(0.5)
    assert throttle.admit("ada", HERE, 1.0) == 0.0
    assert throttle.admit("ada", HERE, 1.0) == 2.0


def test_one_name_guessed_from_everywhere_waits_and_so_does_one_address_that_tries_every_name() -> None:
    throttle = Throttle()
    waits = [throttle.admit("ada", f"192.0.2.{number}", 0.0) for number in range(OF_NAME.free + 1)]
    assert waits == [0.0] * OF_NAME.free + [1.0]
    throttle = Throttle()
    waits = [throttle.admit(f"user{number}", HERE, 0.0) for number in range(OF_ADDRESS.free + 1)]
    assert waits == [0.0] * OF_ADDRESS.free + [1.0]
    assert throttle.admit("ada", THERE, 0.0) == 0.0


def test_who_signed_in_from_here_before_is_not_held_up_by_what_others_try_with_that_name() -> None:
    throttle = Throttle()
    assert throttle.admit("ada", HERE, 0.0) == 0.0
    throttle.succeeded("ada", HERE)
    guess(throttle, "ADA", THERE, 1.0)
    assert throttle.admit("ada", THERE, 1.0) > 0.0
    assert throttle.admit("Ada", HERE, 1.0) == 0.0


def test_signing_in_takes_back_what_the_attempt_counted_but_not_what_others_from_there_failed() -> None:
    throttle = Throttle()
    for turn in range(3 * OF_ADDRESS.free):
        assert throttle.admit("ada", HERE, float(turn)) == 0.0
        throttle.succeeded("ada", HERE)
    guesses = 0
    while throttle.admit(f"user{guesses}", HERE, 100.0) == 0.0:
        guesses += 1
        if throttle.admit("ada", HERE, 100.0) == 0.0:
            throttle.succeeded("ada", HERE)
    assert guesses == OF_ADDRESS.free


def test_memory_is_bounded_whatever_names_and_addresses_are_made_up() -> None:
    throttle = Throttle(most=50)
    for number in range(500):
        throttle.admit(f"user{number}" * 100, f"10.0.{number // 250}.{number % 250}", float(number))
        throttle.succeeded(f"other{number}", f"10.1.{number // 250}.{number % 250}")
    assert len(throttle) <= 150


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("no address", "no address"),
    ],
)
def test_an_address_is_what_one_sender_can_choose_from(address: str, network: str) -> None:
    assert network_of(address) == network
