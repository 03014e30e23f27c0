from hypothesis import given
from hypothesis import strategies as st

from milonga.delivery.ratelimit import RateLimit


def test_without_a_limit_nothing_waits() -> None:
    rate = RateLimit(None)
    for _ in range(1000):
        assert rate.wait(5.0) == 0.0
        rate.take(5.0)


def test_a_burst_may_go_at_once_and_then_one_at_a_time() -> None:
    rate, sent = RateLimit(10.0, burst=3), 0
    while rate.wait(0.0) == 0.0:
        rate.take(0.0)
        sent += 1
    assert sent == 3
    assert abs(rate.wait(0.0) - 0.1) < 1e-9
    assert rate.wait(0.1000001) == 0.0


def test_a_429_holds_everything_until_then() -> None:
    rate = RateLimit(None)
    rate.hold(50.0)
    rate.hold(40.0)
    assert rate.wait(45.0) == 5.0
    assert rate.wait(50.0) == 0.0


@given(st.floats(0.5, 100), st.integers(1, 20), st.lists(st.floats(0, 1), min_size=10, max_size=200))
def test_no_more_go_out_than_the_rate_and_one_burst_allow(rate: float, burst: int, steps: list[float]) -> None:
    limit, now, sent = RateLimit(rate, burst=burst), 0.0, 0
    for step in steps:
        now += step
        while limit.wait(now) == 0.0:
            limit.take(now)
            sent += 1
    assert sent <= burst + rate * now + 1e-6


def test_a_clock_that_jumps_back_stops_nothing_for_long() -> None:
    rate = RateLimit(1.0)
    rate.take(100.0)
    assert rate.wait(10.0) <= 1.0
    assert rate.wait(11.5) == 0.0
