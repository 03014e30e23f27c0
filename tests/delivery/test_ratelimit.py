from hypothesis import given
from hypothesis import strategies as st

from milonga.delivery.ratelimit import RateLimit, burst_of


def sent_at_once(rate: RateLimit, now: float) -> int:
    sent = 0
    while rate.wait(now) == 0.0:
        rate.take(now)
        sent += 1
    return sent


def test_without_a_limit_nothing_waits() -> None:
    rate = RateLimit(0.0)
    for _ in range(1000):
        assert rate.wait(5.0) == 0.0
        rate.take(5.0)


def test_a_tenth_of_a_seconds_worth_may_go_at_once_and_then_one_at_a_time() -> None:
    rate = RateLimit(30.0)
    assert sent_at_once(rate, 0.0) == 3
    assert abs(rate.wait(0.0) - 1 / 30) < 1e-9
    assert rate.wait(1 / 30 + 1e-6) == 0.0
    assert sent_at_once(rate, 1_000.0) == 3


def test_a_rate_below_one_a_second_lets_one_go_at_a_time() -> None:
    rate = RateLimit(0.5)
    assert sent_at_once(rate, 0.0) == 1
    assert rate.wait(0.0) == 2.0
    assert sent_at_once(rate, 1_000.0) == 1


def test_another_rate_holds_at_once_and_nothing_gathered_under_the_one_before_is_added() -> None:
    rate = RateLimit(1_000.0)
    rate.set(0.1, 0.0)
    assert sent_at_once(rate, 0.0) == 1
    rate.set(100.0, 5.0)
    assert rate.wait(5.0) > 0.0, "of the five seconds at 0.1 a second"
    assert sent_at_once(rate, 10.0) == 10
    rate.set(0.0, 10.0)
    assert rate.wait(10.0) == 0.0
    rate.set(1.0, 20.0)
    assert sent_at_once(rate, 20.0) <= 1


def test_a_429_holds_everything_until_then() -> None:
    rate = RateLimit(0.0)
    rate.hold(50.0)
    rate.hold(40.0)
    assert rate.wait(45.0) == 5.0
    assert rate.wait(50.0) == 0.0


@given(st.floats(0.5, 1_000), st.lists(st.floats(0, 1), min_size=10, max_size=200))
def test_no_more_go_out_than_the_rate_and_one_burst_allow(per_second: float, steps: list[float]) -> None:
    limit, now, sent = RateLimit(per_second), 0.0, 0
    for step in steps:
        now += step
        sent += sent_at_once(limit, now)
    assert sent <= burst_of(per_second) + per_second * now + 1e-6


@given(st.lists(st.tuples(st.floats(0.5, 100), st.floats(0, 2)), min_size=1, max_size=50))
def test_nor_when_the_rate_changes_all_the_time(steps: list[tuple[float, float]]) -> None:
    limit, now, sent, may = RateLimit(1.0), 0.0, 0, 1.0
    sent += sent_at_once(limit, now)
    for per_second, step in steps:
        limit.set(per_second, now)
        now += step
        may += per_second * step
        sent += sent_at_once(limit, now)
    assert sent <= may + 1e-6


def test_a_clock_that_jumps_back_stops_nothing_for_long() -> None:
    rate = RateLimit(1.0)
    rate.take(100.0)
    assert rate.wait(10.0) <= 1.0
    assert rate.wait(11.5) == 0.0
