"""The forecast of when what waits is gone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milonga.delivery.forecast import Forecast, Lately, about, forecast


def of(waiting: int, arrived: int = 0, ended: int = 300, delivered: int | None = None, **more: object) -> Forecast:
    """Within 300 seconds."""
    lately = Lately(300.0, arrived, ended, ended if delivered is None else delivered)
    how = {"state": "on", "breaker": "closed", "rate_limit": 0.0, **more}
    return forecast(waiting, lately, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "way", "seconds"),
    [
        (of(0), "nothing", None),
        (of(720), "drains", 720.0),
        (of(720, arrived=150), "drains", 1_440.0),
        (of(720, arrived=300), "grows", None),
        (of(720, arrived=3_000), "grows", None),
        (of(5, arrived=300), "drains", 5.0),
        (of(720, ended=0), "unknown", None),
        (of(720, ended=3_000, rate_limit=1.0), "drains", 720.0),
        (of(720, arrived=600, ended=3_000, rate_limit=2.0), "grows", None),
        (of(720, ended=600, delivered=300, rate_limit=0.5), "drains", 480.0),
        (of(720, state="paused"), "paused", None),
        (of(720, state="off"), "off", None),
        (of(720, breaker="open"), "down", None),
        (of(720, breaker="half_open"), "down", None),
        (of(720, server_runs=False), "no_server", None),
    ],
)
def test_what_it_says(found: Forecast, way: str, seconds: float | None) -> None:
    assert (found.way, found.seconds) == (way, seconds)
    assert found.words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about a second"),
        (1.5, "about 2 seconds"),
        (89, "about 89 seconds"),
        (720, "about 12 minutes"),
        (7_000, "about 2 hours"),
        (86_400 * 3, "about 3 days"),
        (1e12, "about 11,574,074 days"),
    ],
)
def test_a_time_is_told_as_exactly_as_it_may_be(seconds: float, words: str) -> None:
    assert about(seconds) == words


counts = st.integers(0, 10**9)


@given(counts, counts, counts, counts, st.floats(0, 1e5), st.floats(1, 400))
def test_whatever_was_counted_there_is_an_answer(
    waiting: int, arrived: int, ended: int, delivered: int, rate: float, seconds: float
) -> None:
    lately = Lately(seconds, arrived, ended, delivered)
    found = forecast(waiting, lately, state="on", breaker="closed", rate_limit=rate)
    assert found.words
    assert (found.seconds is not None) == (found.way == "drains")
    assert found.seconds is None or found.seconds >= 0
